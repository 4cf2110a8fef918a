/** The messages that wait for a connection: transactional before bulk, except for a share of bulk; in order of arrival; for a limited time. */
import { makeAlarm } from '../concurrency/alarm.ts';
import { bulkEvery, type Lane, type Line, laneOf } from '../domain/lane.ts';
import type { Turn } from './transport.ts';

type Waiter<T> = { readonly turn: Turn; until: number; readonly end: (what: T | null) => void };

export type Waits<T> = {
  readonly count: number;
  /** How many of them are bulk and not of a campaign. */
  readonly bulk: number;
  countOf(lane: Lane): number;
  /** How many bulk messages that wait could be served at once. @param mayBe whether one could after `before` others */
  countBulk(mayBe: (turn: Turn, before: number) => boolean): number;
  /** The turn of the message that is served next, among those that `mayBe` allows; null when there is none. */
  next(mayBe: (turn: Turn) => boolean): Turn | null;
  /** @returns what was given; null when the wait timed out or was ended */
  join(turn: Turn): Promise<T | null>;
  /**
   * Makes something for the lane of the next message that may take it, gives it and returns it; null when there is no such message. While both
   * lanes wait, one in four is bulk, until bulk has its share of the connections. While both kinds of bulk wait, they alternate.
   */
  give<G extends T>(make: (lane: Lane) => G, mayTake: (turn: Turn) => boolean): G | null;
  /** How many more messages may join each line when `places` may wait in all. Bulk keeps its share even when transactional mail fills all. */
  room(places: number): Record<Line, number>;
  /** Ends the waits for which there is no room, from the end of each line, without a connection. */
  trim(places: number): void;
  /** @param others what all but the first get */
  endAll(what: T | null, others?: T | null): void;
};

type Deps = {
  readonly waitMs: number;
  now(): number;
  /** Whether bulk has its share of the connections. Turns alone would give it more and more of them when its messages take longer. */
  hasBulkShare(): boolean;
  /** While a first connection is being opened: one message then waits longer, so that it gets the result. */
  isFindingOut(): boolean;
  onTimeout(): void;
};

/** The order in which lines are served: first index 1 when it is the turn of bulk, second index 1 when the last bulk served was of a campaign. */
const orders: readonly (readonly [readonly Line[], readonly Line[]])[] = [
  [
    ['transactional', 'campaign', 'bulk'],
    ['transactional', 'bulk', 'campaign'],
  ],
  [
    ['campaign', 'bulk', 'transactional'],
    ['bulk', 'campaign', 'transactional'],
  ],
];
const bulkLines = ['bulk', 'campaign'] as const satisfies readonly Line[];
const lines = ['transactional', ...bulkLines] as const satisfies readonly Line[];

export function makeWaits<T>({ waitMs, now, hasBulkShare, isFindingOut, onTimeout }: Deps): Waits<T> {
  /** Sets keep the order of arrival. */
  const waiting: Record<Line, Set<Waiter<T>>> = { transactional: new Set(), bulk: new Set(), campaign: new Set() };
  let waiterForFirstConnection: Waiter<T> | null = null;
  /** Transactional messages served while bulk waited, since bulk was served last. */
  let servedSinceBulk = 0;
  let wasOfCampaign = false;
  const alarm = makeAlarm(now, endOverdue);
  const all = () => lines.flatMap((line) => [...waiting[line]]);
  const bulkCount = () => waiting.bulk.size + waiting.campaign.size;

  function end(waiter: Waiter<T>, what: T | null): void {
    waiting[waiter.turn.line].delete(waiter);
    if (waiterForFirstConnection === waiter) waiterForFirstConnection = null;
    waiter.end(what);
  }

  function endOverdue(): number {
    const at = now();
    for (const waiter of all().filter(({ until }) => until <= at)) {
      if (isFindingOut() && (waiterForFirstConnection === null || waiterForFirstConnection === waiter)) {
        waiterForFirstConnection = waiter;
        waiter.until = at + waitMs;
      } else {
        onTimeout();
        end(waiter, null);
      }
    }
    return Math.min(...all().map(({ until }) => until));
  }

  function find(mayBe: (turn: Turn) => boolean): Waiter<T> | null {
    const isTurnOfBulk = servedSinceBulk >= bulkEvery - 1 && !hasBulkShare();
    for (const line of orders[isTurnOfBulk ? 1 : 0]?.[wasOfCampaign ? 1 : 0] ?? lines)
      for (const waiter of waiting[line]) if (mayBe(waiter.turn)) return waiter;
    return null;
  }

  function noteServed({ turn }: Waiter<T>): void {
    if (laneOf(turn.line) === 'bulk') [servedSinceBulk, wasOfCampaign] = [0, turn.line === 'campaign'];
    else if (bulkCount() > 0) servedSinceBulk += 1;
  }

  /** Below zero when too many wait. */
  function roomIn(places: number): Record<Line, number> {
    const [transactional, bulk, campaign] = [waiting.transactional.size, waiting.bulk.size, waiting.campaign.size];
    const forBulk = Math.max(places - transactional, Math.ceil(places / bulkEvery));
    const half = Math.ceil(forBulk / 2);
    return {
      transactional: places - transactional,
      bulk: Math.max(forBulk - campaign, half) - bulk,
      campaign: Math.max(forBulk - bulk, half) - campaign,
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
    countBulk(mayBe) {
      let count = 0;
      for (const line of bulkLines) for (const { turn } of waiting[line]) if (mayBe(turn, count)) count += 1;
      return count;
    },
    next: (mayBe) => find(mayBe)?.turn ?? null,
    join(turn) {
      return new Promise((resolve) => {
        const until = now() + waitMs;
        waiting[turn.line].add({ turn, until, end: resolve });
        alarm.by(until);
      });
    },
    give(make, mayTake) {
      const waiter = find(mayTake);
      if (waiter === null) return null;
      const what = make(laneOf(waiter.turn.line));
      noteServed(waiter);
      end(waiter, what);
      return what;
    },
    room(places) {
      const { transactional, bulk, campaign } = roomIn(places);
      return { transactional: Math.max(0, transactional), bulk: Math.max(0, bulk), campaign: Math.max(0, campaign) };
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
