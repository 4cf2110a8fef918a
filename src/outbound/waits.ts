/** Who waits for a connection: transactional before bulk but for a share, each in the order they came, nobody longer than allowed. */
import { makeAlarm } from '../concurrency/alarm.ts';
import { bulkEvery, type Lane, type Line, lineOf } from '../domain/lane.ts';
import type { Turn } from './transport.ts';

type Waiter<T> = { readonly turn: Turn; until: number; readonly end: (what: T | null) => void };

export type Waits<T> = {
  readonly count: number;
  /** Of it bulk that is not kept by whoever brought it. */
  readonly bulk: number;
  countOf(lane: Lane): number;
  /** The turn of whoever is first in the lane. */
  first(lane: Lane): Turn | undefined;
  /** The turn of whoever is served next of those that may be; null when there is nobody. */
  next(mayBe: (turn: Turn) => boolean): Turn | null;
  /** @returns what was given; null when the time was over or all waits were ended */
  join(turn: Turn): Promise<T | null>;
  /**
   * Gives to the next that may take it what is made for its lane, and returns that; null when there is nobody. While both lanes wait, one in
   * four is bulk, until that holds its share of the connections; while both kinds of bulk do, they alternate.
   */
  give<G extends T>(make: (lane: Lane) => G, mayTake: (turn: Turn) => boolean): G | null;
  /** How many more may join each line where so many may wait in all: bulk has its share also where transactional takes all. */
  room(places: number): Record<Line, number>;
  /** Ends in vain the waits of those for whom there is no room, the last of each line. */
  trim(places: number): void;
  /** @param others what all but the first get */
  endAll(what: T | null, others?: T | null): void;
};

type Deps = {
  readonly waitMs: number;
  now(): number;
  /** Whether bulk holds its share of the connections: where its messages take longer, turns alone would give it ever more of them. */
  hasBulkShare(): boolean;
  /** While true one waiter stays over its time, so that what is being found out reaches somebody. */
  isFindingOut(): boolean;
  onTimeout(): void;
};

/** In which order lines are served: when it is not the turn of bulk, and when it is; each when its own was served last of bulk, and when kept was. */
const orders: readonly (readonly [readonly Line[], readonly Line[]])[] = [
  [
    ['transactional', 'kept', 'bulk'],
    ['transactional', 'bulk', 'kept'],
  ],
  [
    ['kept', 'bulk', 'transactional'],
    ['bulk', 'kept', 'transactional'],
  ],
];
const lines = ['transactional', 'bulk', 'kept'] as const satisfies readonly Line[];

export function makeWaits<T>({ waitMs, now, hasBulkShare, isFindingOut, onTimeout }: Deps): Waits<T> {
  /** Sets keep the order in which they came. */
  const waiting: Record<Line, Set<Waiter<T>>> = { transactional: new Set(), bulk: new Set(), kept: new Set() };
  let stayer: Waiter<T> | null = null;
  /** Transactional ones that were served while bulk waited, since some of that was. */
  let passed = 0;
  let wasKept = false;
  const alarm = makeAlarm(now, endOverdue);
  const all = () => lines.flatMap((line) => [...waiting[line]]);
  const bulkCount = () => waiting.bulk.size + waiting.kept.size;

  function end(waiter: Waiter<T>, what: T | null): void {
    waiting[lineOf(waiter.turn.lane, waiter.turn.isKept)].delete(waiter);
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

  function find(mayBe: (turn: Turn) => boolean): Waiter<T> | null {
    const isTurnOfBulk = passed >= bulkEvery - 1 && !hasBulkShare();
    for (const line of orders[isTurnOfBulk ? 1 : 0]?.[wasKept ? 1 : 0] ?? lines)
      for (const waiter of waiting[line]) if (mayBe(waiter.turn)) return waiter;
    return null;
  }

  function noteServed({ turn }: Waiter<T>): void {
    if (turn.lane === 'bulk') [passed, wasKept] = [0, lineOf(turn.lane, turn.isKept) === 'kept'];
    else if (bulkCount() > 0) passed += 1;
  }

  /** Below zero where too many wait. */
  function roomIn(places: number): Record<Line, number> {
    const [transactional, bulk, kept] = [waiting.transactional.size, waiting.bulk.size, waiting.kept.size];
    const forBulk = Math.max(places - transactional, Math.ceil(places / bulkEvery));
    const half = Math.ceil(forBulk / 2);
    return {
      transactional: places - transactional,
      bulk: Math.max(forBulk - kept, half) - bulk,
      kept: Math.max(forBulk - bulk, half) - kept,
    };
  }

  return {
    get count() {
      return waiting.transactional.size + bulkCount();
    },
    get bulk() {
      return waiting.bulk.size;
    },
    countOf: (lane) => (lane === 'bulk' ? bulkCount() : waiting.transactional.size),
    first(lane) {
      const [waiter] = lane === 'bulk' && waiting.bulk.size === 0 ? waiting.kept : waiting[lane];
      return waiter?.turn;
    },
    next: (mayBe) => find(mayBe)?.turn ?? null,
    join(turn) {
      return new Promise((resolve) => {
        const until = now() + waitMs;
        waiting[lineOf(turn.lane, turn.isKept)].add({ turn, until, end: resolve });
        alarm.by(until);
      });
    },
    give(make, mayTake) {
      const waiter = find(mayTake);
      if (waiter === null) return null;
      const what = make(waiter.turn.lane);
      noteServed(waiter);
      end(waiter, what);
      return what;
    },
    room(places) {
      const { transactional, bulk, kept } = roomIn(places);
      return { transactional: Math.max(0, transactional), bulk: Math.max(0, bulk), kept: Math.max(0, kept) };
    },
    trim(places) {
      const over = roomIn(places);
      for (const line of lines)
        if (over[line] < 0) for (const waiter of [...waiting[line]].slice(over[line])) end(waiter, null);
    },
    endAll(what, others = what) {
      for (const [place, waiter] of all().entries()) end(waiter, place === 0 ? what : others);
      alarm.off();
    },
  };
}
