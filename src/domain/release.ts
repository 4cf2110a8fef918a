/** How many of its parked emails a transport may get at once. Pure. */
import type { Lane } from './lane.ts';
import { isFirstOnItsWay } from './standing.ts';

/** As in the state of a transport's pool (`outbound/transport.ts`). */
type Pool = {
  readonly open: number;
  readonly waiting: number;
  readonly waitingBulk: number;
  readonly room: Most;
};

type Most = Readonly<Record<Lane, number>>;

/**
 * The lanes share their room: both together get no more than the larger of the two numbers.
 * @param hasRates whether rates limit the transport; otherwise its connections do
 * @param connections how many of them this worker may have
 */
export function mostReleased(pool: Pool, hasRates: boolean, connections: number): Most & { readonly max: number } {
  const { transactional, bulk } = hasRates ? withRates(pool) : withoutRates(pool, connections);
  return { max: Math.max(transactional, bulk), transactional, bulk };
}

/** Mail for which no connection is free would only be parked again. */
function withRates(pool: Pool): Most {
  return isFirstOnItsWay(pool) ? { transactional: 0, bulk: 0 } : pool.room;
}

/**
 * No more is released than the connections can take soon. While messages wait for a connection, transactional mail is released up to one for
 * each connection, and bulk only if no other bulk waits: transactional mail and campaigns leave bulk its share.
 */
function withoutRates(pool: Pool, connections: number): Most {
  const { room, waiting, waitingBulk } = pool;
  if (waiting === 0) return room;
  const soon = Number.isFinite(room.bulk) ? room.bulk : connections;
  const bulk = waitingBulk > 0 || isFirstOnItsWay(pool) ? 0 : soon;
  return { transactional: Math.min(connections, room.transactional), bulk };
}
