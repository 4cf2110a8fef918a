/** Requests access tokens for a fleet: one process at a time, with the newest refresh token. Waiting processes take the token it was given. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Account, Given, RefreshTokens, Turn } from './refresh-tokens.ts';
import { type OAuth, requestToken, type TokenAnswer } from './token-request.ts';

/** A token is not used in the last part of its life, because the login itself takes time. */
const marginMs = 60_000;
/** Life of a token when the server does not say how long it lives. */
const usualLifeMs = 300_000;
/** Length of a turn: time for a request and for what is read before and stored after it. A process that dies blocks others no longer. */
const turnMs = 30_000;
/** Longest wait for a turn: a login has a minute in all, and must be able to say why it has no token. */
const mostWaitMs = 45_000;
const lookAgainMs = 100;

/** The access tokens that processes share, by the id of the account. */
export type AccessTokens = {
  /** @returns null when no token is valid now */
  shared(account: string): Promise<{ readonly token: string; readonly leftMs: number } | null>;
  share(account: string, token: string, forMs: number): Promise<void>;
  /** Removes this token, so that no process takes it; another token stays. */
  drop(account: string, token: string): Promise<void>;
};

/** The tokens of accounts that outlive the process. */
export type Remembered = { readonly refreshTokens: RefreshTokens; readonly accessTokens: AccessTokens };

/** Other processes had their turns for so long that this one got none. No server refused anything. */
export class NoTurnError extends Error {
  /** The original message: the library appends the last reply of the server to `message`. */
  readonly why: string;
  constructor(why: string) {
    super(why);
    this.why = why;
  }
}

type Obtained = {
  readonly value: string;
  /** Whether the token was given to another process. */
  readonly isShared: boolean;
  /** Milliseconds of the clock that never goes back. */
  readonly until: number;
};

export type Asking = {
  /**
   * Called by one login at a time. @param isRefused whether a server has refused this shared token
   * @throws Error without secrets when no token is given; NoTurnError when other processes have their turn for too long
   */
  obtain(isRefused: (token: string) => boolean): Promise<Obtained>;
  /** In words, what is waited for while another process has its turn; null otherwise. */
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

  /** Shares a new token. When Redis does not store it, this process uses it all the same. */
  async function share({ access_token: value, expires_in }: TokenAnswer): Promise<Obtained> {
    const lifeMs = expires_in === undefined ? usualLifeMs : expires_in * 1_000;
    const useMs = Math.max(lifeMs - marginMs, lifeMs / 2);
    const until = now() + useMs;
    await accessTokens.share(account.id, value, useMs).catch(() => {});
    return { value, isShared: false, until };
  }

  /**
   * A server that rotates refresh tokens may take two uses of the same one for theft and revoke them all (RFC 9700 section 4.14.2). While Redis
   * is away, turns are unknown, and the server is asked without one.
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
    /** When the refresh token is refused because another process got a newer one without a turn, tries once more with the newer one. */
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

/** Uses the refresh token of an account for this process. */
function makeRefresh(auth: OAuth, account: Account, refreshTokens: RefreshTokens, date: () => number) {
  /** The refresh token this process was given last (RFC 6749 section 6); the one it used before may be void. */
  let given: Given | null = null;
  /** The refresh token of the last request. */
  let used: Given | null = null;

  /** @throws when the newest one is unknown: using an old one may revoke every token of the account (RFC 9700 section 4.14.2) */
  async function newest(): Promise<Given> {
    const stored = await refreshTokens.newest(account).catch(() => {
      if (given === null) throw new Error('The newest refresh token could not be read');
      return null;
    });
    if (given === null) return stored ?? { token: auth.refreshToken, at: 0 };
    if (stored !== null && stored.at >= given.at) return stored;
    // Redis lost our newer token, for instance in a failover: the stored one is used up, and other processes would use it.
    if (stored !== null) await refreshTokens.keep(account, given, noTurn);
    return given;
  }

  return {
    /** Requests a token. The result is shared before the turn ends. */
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

    /** Whether the newest refresh token is another than that of the last request. */
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
