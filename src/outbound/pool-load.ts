/** The messages that the sessions of a pool have in hand: how many of each lane, how long they take, and what that means for others. */
import type { Lane } from '../domain/lane.ts';
import type { SmtpSession } from './smtp-session.ts';

/** How much a message counts in the time that messages take, which is a running mean. */
const newestShare = 0.25;
/** A server hangs once it takes so many times as long as messages usually take it, within limits: those that ended in vain count as well. */
const hangFactor = 10;
const mostHangShares = 4;

export type PoolTimes = {
  /** How long a message waits for a connection before it goes back to the queue. */
  readonly waitMs: number;
  /** Nobody is let wait who, as things go, would wait longer: they hold places that mail of other transports could use. */
  readonly patienceMs: number;
  readonly idleCloseMs: number;
  /** How long no further connection is tried after a refused one, while others work. */
  readonly reopenMs: number;
  /** No server hangs that is silent for less, and each does that is for four times as long. */
  readonly hangAfterMs: number;
};

/** What one message has of a session. */
export type Hold = {
  readonly session: SmtpSession;
  readonly lane: Lane;
  /** Its envelope leaves with the body of the message before it. */
  readonly isFollower: boolean;
  /** When it became its turn, or when it began to follow. */
  since: number;
  /** It followed for too long. */
  isGivenUp: boolean;
};

export function newHold(session: SmtpSession, lane: Lane, isFollower = false): Hold {
  return { session, lane, isFollower, since: 0, isGivenUp: false };
}

export type PoolLoad = {
  readonly busy: Readonly<Record<Lane, number>>;
  /** How many more messages could be taken without making them wait long; below zero when too many wait. @param before that go first */
  room(allowed: number, before: number): number;
  /** No message has to wait long for the one before it. */
  readonly isQuick: boolean;
  /** When a connection was opened or came back last. */
  readonly aliveAt: number;
  /** The server takes messages and answers none: those that are not begun should go another way. */
  readonly isHanging: boolean;
  /** A wait ended in vain, and no connection has become free since. */
  hasTimedOut: boolean;
  opened(): void;
  take(hold: Hold): Hold;
  /** @param isInVain its server did not answer what it was given */
  letGo(hold: Hold, isInVain: boolean): void;
};

/** @param now milliseconds of a clock that never goes back */
export function makePoolLoad({ hangAfterMs, patienceMs }: PoolTimes, now: () => number): PoolLoad {
  const busy: Record<Lane, number> = { transactional: 0, bulk: 0 };
  const holds = new Set<Hold>();
  /** How long a message takes; null before the first. */
  let messageMs: number | null = null;
  let aliveAt = Number.NEGATIVE_INFINITY;
  let hasTimedOut = false;

  function noteAnswer(since: number): void {
    hasTimedOut = false;
    aliveAt = now();
    const tookMs = aliveAt - since;
    messageMs = messageMs === null ? tookMs : messageMs + newestShare * (tookMs - messageMs);
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
    letGo(hold, isInVain) {
      busy[hold.lane] -= 1;
      holds.delete(hold);
      // One that ended in vain says nothing of the others, whose server may hang as it did.
      if (!isInVain || holds.size === 0) noteAnswer(hold.since);
    },
  };
}
