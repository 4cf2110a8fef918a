/** Who gets a connection of a pool: how many there may be, and how many of them bulk may have. */
import { bulkEvery, bulkPlaces, type Lane } from '../domain/lane.ts';
import type { Turn } from './transport.ts';

export type PoolShares = {
  /** How many connections there may be. */
  readonly allowed: number;
  allow(connections: number): void;
  /** Whether bulk has its share of the connections. */
  hasBulkShare(): boolean;
  /** How many more connections bulk may have; below zero when it has too many. @param reserve share that bulk leaves to transactional mail */
  bulkRoom(reserve: number): number;
  /** Whether the message may take a connection that is free. */
  mayTake(turn: Turn): boolean;
};

/** @param busy how many messages of each lane are in hand */
export function makePoolShares(connections: number, busy: Readonly<Record<Lane, number>>): PoolShares {
  let allowed = connections;

  function bulkRoom(reserve: number): number {
    return bulkPlaces(allowed, reserve) - busy.bulk;
  }

  return {
    get allowed() {
      return allowed;
    },
    allow(most) {
      allowed = most;
    },
    hasBulkShare: () => busy.bulk >= Math.max(1, Math.ceil(allowed / bulkEvery)),
    bulkRoom,
    mayTake: ({ line, reserve }) => line === 'transactional' || bulkRoom(reserve) > 0,
  };
}
