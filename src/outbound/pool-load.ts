/** The load of a pool: how many messages of each lane are in hand, how long they take, and how many more it can take. */
import type { Lane } from '../domain/lane.ts';
import type { SmtpSession } from './smtp-session.ts';

/** Weight of the newest message in the running mean of how long a message takes. */
const newestShare = 0.25;
/** How long an accepted message takes is the middle of this many. A mean would take one that took minutes for a hundred times the usual. */
const mostAccepted = 9;
/** Of fewer, one that took minutes could be the middle. */
const leastAccepted = 3;
/** A server hangs once it is silent for this many times the usual time of a message, within limits: failed messages count in that time. */
const hangFactor = 10;
const mostHangShares = 4;

export type PoolTimes = {
  /** How long a message waits for a connection before it goes back to the queue. */
  readonly waitMs: number;
  /** A message that would wait longer than this may not wait: it would hold a place that mail for other transports could use. */
  readonly patienceMs: number;
  readonly idleCloseMs: number;
  /** How long no further connection is tried after a failed one, while others work. */
  readonly reopenMs: number;
  /** A server that is silent for less does not hang; one that is silent for four times as long always does. */
  readonly hangAfterMs: number;
};

/** A session in the hands of one message. */
export type Hold = {
  readonly session: SmtpSession;
  readonly lane: Lane;
  /** Its envelope leaves with the body of the message before it. */
  readonly isFollower: boolean;
  /** When its turn came, or when it began to follow. */
  since: number;
  /** It followed for too long and was given up. */
  isGivenUp: boolean;
};

export function newHold(session: SmtpSession, lane: Lane, isFollower = false): Hold {
  return { session, lane, isFollower, since: 0, isGivenUp: false };
}

/** How a message ended: `in_vain` when the server did not answer it. */
export type Ending = 'accepted' | 'not_accepted' | 'in_vain';

export type PoolLoad = {
  readonly busy: Readonly<Record<Lane, number>>;
  /** How many more messages can be taken without a long wait; below zero when too many wait. @param before messages that go first */
  room(allowed: number, before: number): number;
  /** Messages take so little time that none waits long for the one before it. */
  readonly isQuick: boolean;
  /** The time that most of the last messages took which the server accepted, their median; null before the third. */
  readonly acceptedMs: number | null;
  /** When a connection was last opened or given back. */
  readonly aliveAt: number;
  /** The server takes messages and does not answer: messages that have not begun should use another transport. */
  readonly isHanging: boolean;
  /** A wait timed out, and no connection has become free since. */
  hasTimedOut: boolean;
  opened(): void;
  take(hold: Hold): Hold;
  letGo(hold: Hold, as: Ending): void;
};

function meanWith(mean: number | null, newest: number): number {
  return mean === null ? newest : mean + newestShare * (newest - mean);
}

/** The lower one of the two in the middle, where there are two; null when there are too few. */
function medianOf(accepted: readonly number[]): number | null {
  if (accepted.length < leastAccepted) return null;
  return accepted.toSorted((a, b) => a - b)[Math.floor((accepted.length - 1) / 2)] ?? null;
}

/** @param now milliseconds of a clock that never goes back */
export function makePoolLoad({ hangAfterMs, patienceMs }: PoolTimes, now: () => number): PoolLoad {
  const busy: Record<Lane, number> = { transactional: 0, bulk: 0 };
  const holds = new Set<Hold>();
  /** The mean time of a message; null before the first. */
  let messageMs: number | null = null;
  /** How long the last accepted messages took. */
  const accepted: number[] = [];
  let aliveAt = Number.NEGATIVE_INFINITY;
  let hasTimedOut = false;

  function noteAnswer(since: number): void {
    hasTimedOut = false;
    aliveAt = now();
    messageMs = meanWith(messageMs, aliveAt - since);
  }

  return {
    busy,
    room(allowed, before) {
      if (allowed === 0) return 0;
      if (messageMs === null || messageMs === 0) return Number.POSITIVE_INFINITY;
      const soon = Math.ceil((allowed * patienceMs) / messageMs);
      return soon + allowed - busy.transactional - busy.bulk - before;
    },
    get isQuick() {
      return messageMs !== null && messageMs < patienceMs;
    },
    get acceptedMs() {
      return medianOf(accepted);
    },
    get aliveAt() {
      return aliveAt;
    },
    get isHanging() {
      if (!hasTimedOut || holds.size === 0) return false;
      const usual = Math.max(hangAfterMs, hangFactor * (messageMs ?? 0));
      const latest = Math.max(aliveAt, ...[...holds].map(({ since }) => since));
      return now() - latest >= Math.min(usual, mostHangShares * hangAfterMs);
    },
    get hasTimedOut() {
      return hasTimedOut;
    },
    set hasTimedOut(is) {
      hasTimedOut = is;
    },
    opened() {
      aliveAt = now();
    },
    take(hold) {
      busy[hold.lane] += 1;
      hold.since = now();
      holds.add(hold);
      return hold;
    },
    letGo(hold, as) {
      busy[hold.lane] -= 1;
      holds.delete(hold);
      // A message that ended without an answer is no sign of life: the server may hang for the others as well.
      if (as !== 'in_vain' || holds.size === 0) noteAnswer(hold.since);
      if (as !== 'accepted') return;
      accepted.push(aliveAt - hold.since);
      if (accepted.length > mostAccepted) accepted.shift();
    },
  };
}
