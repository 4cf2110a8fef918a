/** The logged-in sessions of a pool, each limited in messages and age, and the number of closing ones: they count until they are gone. */
import type { SmtpSession } from './smtp-session.ts';

export type LiveSessions = {
  /** In use and idle. */
  readonly count: number;
  readonly closing: number;
  /** @param at when the session was opened */
  add(session: SmtpSession, at: number): void;
  /** When the session gets too old; null when it is closing or gone. */
  endsAt(session: SmtpSession): number | null;
  /** Whether the session has had all its messages, or gets too old by `by`. */
  isSpent(session: SmtpSession, by: number): boolean;
  retire(session: SmtpSession): void;
  /** The connection is gone, whichever side ended it. */
  ended(session: SmtpSession): void;
  /** Resolves once none is closing. */
  closed(): Promise<void>;
  closeAll(): void;
};

type Limits = { readonly messagesPerConnection: number; readonly maxAgeMs: number };

/** The maximum age of a connection is shortened at random by up to this share, so that connections opened together do not end together. */
const ageSpread = 0.2;

export function makeLiveSessions({ messagesPerConnection, maxAgeMs }: Limits, rand: () => number): LiveSessions {
  /** Each session with the time at which it gets too old. */
  const live = new Map<SmtpSession, number>();
  let closing = 0;
  let quiet: PromiseWithResolvers<void> | null = null;

  return {
    get count() {
      return live.size;
    },
    get closing() {
      return closing;
    },
    add(session, at) {
      live.set(session, at + maxAgeMs * (1 - ageSpread * rand()));
    },
    endsAt: (session) => live.get(session) ?? null,
    isSpent: (session, by) => session.given >= messagesPerConnection || by >= (live.get(session) ?? by),
    retire(session) {
      live.delete(session);
      closing += 1;
      session.close();
    },
    ended(session) {
      if (live.delete(session)) return;
      closing -= 1;
      if (closing > 0) return;
      quiet?.resolve();
      quiet = null;
    },
    closed() {
      if (closing === 0) return Promise.resolve();
      quiet ??= Promise.withResolvers();
      return quiet.promise;
    },
    closeAll() {
      for (const session of live.keys()) session.close();
    },
  };
}
