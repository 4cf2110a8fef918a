/** The unused sessions of a pool. The one used last is taken first, so that others stay unused and can be closed; each is closed in time. */
import { makeAlarm } from '../concurrency/alarm.ts';
import type { SmtpSession } from './smtp-session.ts';

export type IdleSessions = {
  /** Includes sessions whose connection has ended but which are not dropped yet. */
  readonly count: number;
  keep(session: SmtpSession, closeAt: number): void;
  /** The usable session that was used last; it stays here until `drop`. Null when there is none. */
  last(): SmtpSession | null;
  drop(session: SmtpSession): void;
  /** Closes the sessions that were unused for longest. @param count zero or less for none */
  close(count: number): void;
  /** Stops closing sessions by age. */
  off(): void;
};

/**
 * @param now milliseconds of a clock that never goes back
 * @param retire closes a session that was dropped
 */
export function makeIdleSessions(now: () => number, retire: (session: SmtpSession) => void): IdleSessions {
  /** Sessions in the order in which they became idle. */
  const idle: { readonly session: SmtpSession; readonly closeAt: number }[] = [];
  const alarm = makeAlarm(now, closeOverdue);

  function closeOverdue(): number {
    const at = now();
    for (const kept of idle.filter(({ closeAt }) => closeAt <= at)) {
      idle.splice(idle.indexOf(kept), 1);
      retire(kept.session);
    }
    return Math.min(...idle.map(({ closeAt }) => closeAt));
  }

  return {
    get count() {
      return idle.length;
    },
    keep(session, closeAt) {
      idle.push({ session, closeAt });
      alarm.by(closeAt);
    },
    last() {
      while (idle.at(-1)?.session.isUsable === false) idle.pop();
      return idle.at(-1)?.session ?? null;
    },
    drop(session) {
      const at = idle.findLastIndex((kept) => kept.session === session);
      if (at >= 0) idle.splice(at, 1);
    },
    close(count) {
      for (const { session } of idle.splice(0, Math.max(0, count))) retire(session);
    },
    off: alarm.off,
  };
}
