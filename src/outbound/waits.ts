/** Who waits for a connection: transactional before bulk, each in the order they came, nobody longer than allowed. */

import { makeAlarm } from '../concurrency/alarm.ts';
import type { Lane } from '../domain/lane.ts';
import type { Turn } from './transport.ts';

type Waiter<T> = { readonly turn: Turn; until: number; readonly end: (what: T | null) => void };

export type Waits<T> = {
  readonly count: number;
  countOf(lane: Lane): number;
  /** The turn of whoever is first in the lane. */
  first(lane: Lane): Turn | undefined;
  /** @returns what was given; null when the time was over or all waits were ended */
  join(turn: Turn): Promise<T | null>;
  /** Gives to the first that may take it what is made for its lane, and returns that; null when there is nobody. */
  give<G extends T>(make: (lane: Lane) => G, mayTake: (turn: Turn) => boolean): G | null;
  /** Ends so many waits in vain, those that would be served last. */
  endLast(count: number): void;
  endAll(what: T | null): void;
};

type Deps = {
  readonly waitMs: number;
  now(): number;
  /** While true one waiter stays over its time, so that what is being found out reaches somebody. */
  isFindingOut(): boolean;
  onTimeout(): void;
};

export function makeWaits<T>({ waitMs, now, isFindingOut, onTimeout }: Deps): Waits<T> {
  /** Sets keep the order in which they came. */
  const waiting: Record<Lane, Set<Waiter<T>>> = { transactional: new Set(), bulk: new Set() };
  let stayer: Waiter<T> | null = null;
  const alarm = makeAlarm(now, endOverdue);
  const all = () => [...waiting.transactional, ...waiting.bulk];

  function end(waiter: Waiter<T>, what: T | null): void {
    waiting[waiter.turn.lane].delete(waiter);
    if (stayer === waiter) stayer = null;
    waiter.end(what);
  }

  function endOverdue(): number {
    const at = now();
    for (const waiter of all().filter(({ until }) => until <= at)) {
      if (isFindingOut() && (stayer === null || stayer === waiter)) {
        stayer = waiter;
        waiter.until = at + waitMs;
      } else {
        onTimeout();
        end(waiter, null);
      }
    }
    return Math.min(...all().map(({ until }) => until));
  }

  return {
    get count() {
      return waiting.transactional.size + waiting.bulk.size;
    },
    countOf: (lane) => waiting[lane].size,
    first(lane) {
      const [waiter] = waiting[lane];
      return waiter?.turn;
    },
    join(turn) {
      return new Promise((resolve) => {
        const until = now() + waitMs;
        waiting[turn.lane].add({ turn, until, end: resolve });
        alarm.by(until);
      });
    },
    give(make, mayTake) {
      for (const waiters of [waiting.transactional, waiting.bulk]) {
        for (const waiter of waiters) {
          if (!mayTake(waiter.turn)) continue;
          const what = make(waiter.turn.lane);
          end(waiter, what);
          return what;
        }
      }
      return null;
    },
    endLast(count) {
      if (count > 0) for (const waiter of all().slice(-count)) end(waiter, null);
    },
    endAll(what) {
      for (const waiter of all()) end(waiter, what);
      alarm.off();
    },
  };
}
