/** The sessions of a pool that are logged in, each for so many messages and for so long, and those that are closing: they count until they are gone. */
import type { SmtpSession } from './smtp-session.ts';

export type LiveSessions = {
  /** In use and idle. */
  readonly count: number;
  readonly closing: number;
  /** @param at when it was opened */
  add(session: SmtpSession, at: number): void;
  /** When it gets too old; null where it is closing or gone. */
  endsAt(session: SmtpSession): number | null;
  /** Whether it had its messages, or its time is over by then. */
  isSpent(session: SmtpSession, by: number): boolean;
  retire(session: SmtpSession): void;
  /** It is gone, whoever ended it. */
  ended(session: SmtpSession): void;
  /** Resolves once none is closing. */
  closed(): Promise<void>;
  closeAll(): void;
};

type Limits = { readonly messagesPerConnection: number; readonly maxAgeMs: number };

/** Up to this share of its greatest age is taken off a connection's, so that those opened together do not all end together. */
const ageSpread = 0.2;

export function makeLiveSessions({ messagesPerConnection, maxAgeMs }: Limits, rand: () => number): LiveSessions {
  /** Each with the time it gets too old. */
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
