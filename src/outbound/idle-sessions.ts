/** The sessions of a pool that nobody uses: the one used last goes first, so that the others may become idle for good, and each is closed in time. */
import { makeAlarm } from '../concurrency/alarm.ts';
import type { SmtpSession } from './smtp-session.ts';

export type IdleSessions = {
  /** With those whose end is on its way. */
  readonly count: number;
  keep(session: SmtpSession, closeAt: number): void;
  /** The one used last, which stays here until it is dropped; null when there is none that can be used. */
  last(): SmtpSession | null;
  drop(session: SmtpSession): void;
  /** The longest unused go first. @param count below zero for none */
  close(count: number): void;
  /** Closes none by its age any more. */
  off(): void;
};

/**
 * @param now milliseconds of a clock that never goes back
 * @param retire closes one that was dropped
 */
export function makeIdleSessions(now: () => number, retire: (session: SmtpSession) => void): IdleSessions {
  /** In the order in which they became idle. */
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
