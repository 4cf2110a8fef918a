/**
 * Followers: messages whose envelope leaves in one write with the body of the message before (RFC 2920 section 3.1). Each saves a round trip.
 * One message tries whether the server accepts that; other messages follow once it succeeded.
 */

import { makeAlarm } from '../concurrency/alarm.ts';
import type { Lane } from '../domain/lane.ts';
import type { Outcome } from '../domain/outcome.ts';
import type { Hold } from './pool-load.ts';
import type { SmtpSession } from './smtp-session.ts';
import type { PassedOver } from './smtp-transaction.ts';

/** How long no message follows after a server did not accept it; twice as long each time, up to a day. */
const firstDistrustMs = 3_600_000;
const longestDistrustMs = 86_400_000;

export type Followers = {
  readonly count: number;
  countOf(lane: Lane): number;
  /** Whether one more message may follow, by what is known of the server. */
  readonly mayFollow: boolean;
  add(hold: Hold): void;
  /** Removes the follower on this session and returns it: the message before it has ended. Null when there is none. */
  stepUp(session: SmtpSession): Hold | null;
  /** An answer to a follower shows that the server accepts followers. */
  trust(): void;
  /** @param end outcome of a message that followed */
  ended(end: Outcome | PassedOver): void;
  off(): void;
};

/**
 * @param limits `patienceMs`: how long a message may follow before it is given up
 * @param now milliseconds of a clock that never goes back
 */
export function makeFollowers({ patienceMs }: { readonly patienceMs: number }, now: () => number): Followers {
  const behind = new Map<SmtpSession, Hold>();
  let isTrusted = false;
  let isTrying = false;
  let tryFrom = Number.NEGATIVE_INFINITY;
  let distrustMs = firstDistrustMs;
  const alarm = makeAlarm(now, giveUpOverdue);

  function giveUpOverdue(): number {
    const at = now();
    for (const hold of [...behind.values()].filter(({ since }) => since + patienceMs <= at)) {
      behind.delete(hold.session);
      hold.isGivenUp = true;
      hold.session.giveUp();
    }
    return Math.min(...[...behind.values()].map(({ since }) => since + patienceMs));
  }

  return {
    get count() {
      return behind.size;
    },
    countOf: (lane) => [...behind.values()].filter((hold) => hold.lane === lane).length,
    get mayFollow() {
      return isTrusted || (!isTrying && now() >= tryFrom);
    },
    add(hold) {
      hold.since = now();
      behind.set(hold.session, hold);
      isTrying = true;
      alarm.by(hold.since + patienceMs);
    },
    stepUp(session) {
      const hold = behind.get(session) ?? null;
      behind.delete(session);
      return hold;
    },
    trust() {
      isTrusted = true;
    },
    ended(end) {
      isTrying = false;
      // These messages never reached the server.
      if (end.kind === 'obstacle' || end.kind === 'undeliverable') return;
      if (end.kind !== 'passed_over') isTrusted = true;
      else if (end.isOutOfStep) {
        isTrusted = false;
        tryFrom = now() + distrustMs;
        distrustMs = Math.min(2 * distrustMs, longestDistrustMs);
      }
    },
    off: alarm.off,
  };
}
