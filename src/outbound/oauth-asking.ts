/** Asking for an access token over a fleet: in turn, with the newest refresh token; whoever waits takes what the one before was given. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Account, Given, RefreshTokens, Turn } from './refresh-tokens.ts';
import { type OAuth, requestToken, type TokenAnswer } from './token-request.ts';

/** A token is not used in the last part of its life: the login it is for takes time. */
const marginMs = 60_000;
/** Where the server does not say how long a token lives. */
const usualLifeMs = 300_000;
/** For a request, and what is read before and stored after it: who dies meanwhile keeps the others waiting for no longer. */
const turnMs = 30_000;
/** A login has a minute in all, and says by then why it has no token. */
const mostWaitMs = 45_000;
const lookAgainMs = 100;

/** The access tokens that processes have in common, by the ids of accounts. */
export type AccessTokens = {
  /** @returns null where none is good now */
  shared(account: string): Promise<{ readonly token: string; readonly leftMs: number } | null>;
  share(account: string, token: string, forMs: number): Promise<void>;
  /** Nobody takes it from now on; another one stays. */
  drop(account: string, token: string): Promise<void>;
};

/** What is remembered of accounts beyond the process. */
export type Remembered = { readonly refreshTokens: RefreshTokens; readonly accessTokens: AccessTokens };

/** Others had their turn for so long that there was none for us: nobody refused anything. */
export class NoTurnError extends Error {
  /** As it was thrown: the library adds to the message what a server said last. */
  readonly why: string;
  constructor(why: string) {
    super(why);
    this.why = why;
  }
}

export type Obtained = {
  readonly value: string;
  /** Whether it was given to another process. */
  readonly isShared: boolean;
  /** By the clock that never goes back. */
  readonly until: number;
};

export type Asking = {
  /**
   * One at a time. @param isRefused whether a token that is shared is known to be good for nothing
   * @throws Error without secrets when none is given; NoTurnError when others have their turn for too long
   */
  obtain(isRefused: (token: string) => boolean): Promise<Obtained>;
  /** Whose turn is waited for at this moment, in words; null when nobody's is. */
  readonly awaits: string | null;
};

export type Clocks = {
  /** Milliseconds of a clock that never goes back. */
  now(): number;
  /** Milliseconds since the epoch. */
  date(): number;
};

export const noTurn: Turn = { async end() {} };

export function openAsking(
  auth: OAuth,
  account: Account,
  { refreshTokens, accessTokens }: Remembered,
  { now, date }: Clocks,
): Asking {
  const refresh = makeRefresh(auth, account, refreshTokens, date);
  let awaits: string | null = null;

  async function takeShared(isRefused: (token: string) => boolean): Promise<Obtained | null> {
    const shared = await accessTokens.shared(account.id).catch(() => null);
    if (shared === null || isRefused(shared.token)) return null;
    return { value: shared.token, isShared: true, until: now() + shared.leftMs };
  }

  /** What Redis does not take now is good for this process all the same. */
  async function share({ access_token: value, expires_in }: TokenAnswer): Promise<Obtained> {
    const lifeMs = expires_in === undefined ? usualLifeMs : expires_in * 1_000;
    const useMs = Math.max(lifeMs - marginMs, lifeMs / 2);
    const until = now() + useMs;
    await accessTokens.share(account.id, value, useMs).catch(() => {});
    return { value, isShared: false, until };
  }

  /**
   * A server that gives new refresh tokens may take two uses of one for theft, and revoke them all (RFC 9700 section 4.14.2). While Redis is away
   * nobody can say whose turn it is, and it is asked without.
   */
  async function takeOrAsk(isRefused: (token: string) => boolean): Promise<Obtained> {
    const giveUpAt = now() + mostWaitMs;
    for (;;) {
      const turn = await refreshTokens.takeTurn(account, turnMs).catch(() => noTurn);
      const shared = await takeShared(isRefused);
      if (turn !== null) awaits = null;
      if (shared === null && turn !== null) return refresh.askIn(turn, share);
      await turn?.end().catch(() => {});
      if (shared !== null) return shared;
      awaits = `No access token from ${account.host}: other processes ask for theirs, and take their time`;
      if (now() >= giveUpAt) throw new NoTurnError(awaits);
      await sleep(lookAgainMs, undefined, { ref: false });
    }
  }

  return {
    /** Where one is refused in whose place another process was given a new one meanwhile, as it could not wait for its turn, that one is tried. */
    async obtain(isRefused) {
      try {
        return await takeOrAsk(isRefused).catch(async (error: unknown) => {
          if (error instanceof NoTurnError || !(await refresh.isOvertaken())) throw error;
          return takeOrAsk(isRefused);
        });
      } finally {
        awaits = null;
      }
    },
    get awaits() {
      return awaits;
    },
  };
}

/** The refresh token of an account, as it is used by this process. */
function makeRefresh(auth: OAuth, account: Account, refreshTokens: RefreshTokens, date: () => number) {
  /** What this process was given last, in place of the one it used (RFC 6749 section 6): that may be good for nothing any more. */
  let given: Given | null = null;
  /** What was asked with last. */
  let used: Given | null = null;

  /** @throws where it cannot be known: one that was used before may have every other of the account revoked (RFC 9700 section 4.14.2) */
  async function newest(): Promise<Given> {
    const stored = await refreshTokens.newest(account).catch(() => {
      if (given === null) throw new Error('The newest refresh token could not be read');
      return null;
    });
    if (given === null) return stored ?? { token: auth.refreshToken, at: 0 };
    if (stored !== null && stored.at >= given.at) return stored;
    // Redis lost it, as one does that takes over before it has all: what stands there is used up, and others would use it.
    if (stored !== null) await refreshTokens.keep(account, given, noTurn);
    return given;
  }

  return {
    /** What it brings is there for the others before the turn is another's. */
    async askIn<T>(turn: Turn, share: (answer: TokenAnswer) => Promise<T>): Promise<T> {
      let isHandedOn = false;
      try {
        used = null;
        used = await newest();
        const answer = await requestToken(auth, used.token);
        const sharing = share(answer);
        const { refresh_token: next = used.token } = answer;
        if (next === used.token) return await sharing;
        given = { token: next, at: Math.max(date(), used.at + 1) };
        isHandedOn = true;
        await refreshTokens.keep(account, given, { end: () => sharing.then(() => turn.end()) });
        return await sharing;
      } finally {
        if (!isHandedOn) await turn.end().catch(() => {});
      }
    },

    /** Whether there is another by now than was asked with. */
    async isOvertaken(): Promise<boolean> {
      const before = used?.token;
      if (before === undefined) return false;
      return newest().then(
        ({ token }) => token !== before,
        () => false,
      );
    },
  };
}
