/** Access tokens for XOAUTH2: got for a refresh token, kept until shortly before their end, asked for once at a time, in the whole fleet. */
import { hash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Account, RefreshTokens, Turn } from './refresh-tokens.ts';
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

export type Token = {
  readonly value: string;
  /** Whether it was got for an earlier login: the server may have revoked it since. */
  readonly isKept: boolean;
};

export type Tokens = {
  /** @throws Error without secrets when none can be had */
  get(): Promise<Token>;
  /** A token other than this one, which was refused. @throws like `get` */
  renew(refused: string): Promise<string>;
};

/** The tokens of each account, the same for whoever logs in with it. */
export type TokenBook = (auth: OAuth) => Tokens;

type Kept = { readonly value: string; readonly until: number };

/** Accounts whose tokens are at hand; one that is not used for longest is looked up anew. */
const mostAccounts = 1_000;

/** @param now milliseconds of a clock that never goes back */
export function openTokenBook(refreshTokens: RefreshTokens, now: () => number): TokenBook {
  const book = new Map<string, Tokens>();
  return (auth) => {
    const key = JSON.stringify(auth);
    const tokens = book.get(key) ?? openTokens(auth, refreshTokens, now);
    book.delete(key);
    book.set(key, tokens);
    const [oldest = key] = book.keys();
    if (book.size > mostAccounts) book.delete(oldest);
    return tokens;
  };
}

const noTurn: Turn = { async end() {} };

/** Nothing is remembered beyond the process. */
export const forgetful: RefreshTokens = {
  newest: async () => null,
  keep: async () => true,
  takeTurn: async () => noTurn,
};

function openTokens(auth: OAuth, refreshTokens: RefreshTokens, now: () => number): Tokens {
  let kept: Kept | null = null;
  let asking: Promise<Kept> | null = null;
  /** The refresh token that this process was given last, in place of the one it used (RFC 6749 section 6): that may be good for nothing any more. */
  let given: string | null = null;
  const account = accountOf(auth);

  /** @throws where it cannot be known: one that was used before may have every other of the account revoked (RFC 9700 section 4.14.2) */
  async function newest(): Promise<string> {
    const stored = await refreshTokens.newest(account).catch(() => {
      if (given === null) throw new Error('The newest refresh token could not be read');
      return null;
    });
    return stored ?? given ?? auth.refreshToken;
  }

  /** What comes in place of the token it was asked with is stored before another process reads what to ask with. */
  async function askInTurn(onUse: (refreshToken: string) => void): Promise<TokenAnswer> {
    const turn = await waitForTurn(refreshTokens, account, now);
    let isStored = true;
    try {
      const used = await newest();
      onUse(used);
      const answer = await requestToken(auth, used);
      const { refresh_token: next = used } = answer;
      if (next === used) return answer;
      given = next;
      isStored = await refreshTokens.keep(account, next, used);
      return answer;
    } finally {
      // Others would ask with the one before: as long as this turn lasts it may yet be stored.
      if (isStored) await turn.end().catch(() => {});
    }
  }

  /** Where one is refused in whose place another process was given a new one meanwhile, as it could not wait for its turn, that one is tried. */
  async function ask(): Promise<TokenAnswer> {
    let used: string | undefined;
    const onUse = (refreshToken: string) => {
      used = refreshToken;
    };
    try {
      return await askInTurn(onUse);
    } catch (error) {
      const other = used === undefined ? used : await newest().catch(() => used);
      if (other === used) throw error;
      return askInTurn(onUse);
    }
  }

  async function refresh(): Promise<Kept> {
    const answer = await ask();
    const lifeMs = answer.expires_in === undefined ? usualLifeMs : answer.expires_in * 1_000;
    kept = { value: answer.access_token, until: now() + Math.max(lifeMs - marginMs, lifeMs / 2) };
    return kept;
  }

  async function fresh(): Promise<string> {
    asking ??= refresh().finally(() => {
      asking = null;
    });
    return (await asking).value;
  }

  return {
    async get() {
      if (kept !== null && now() < kept.until) return { value: kept.value, isKept: true };
      return { value: await fresh(), isKept: false };
    },
    async renew(refused) {
      // Another connection may have been refused with the same one before.
      if (kept !== null && kept.value !== refused) return kept.value;
      return fresh();
    },
  };
}

/**
 * A server that gives new refresh tokens may take two uses of one for theft, and revoke them all (RFC 9700 section 4.14.2). While Redis is away
 * nobody can say whose turn it is, and it is asked without.
 * @throws when others have theirs for too long
 */
async function waitForTurn(refreshTokens: RefreshTokens, account: Account, now: () => number): Promise<Turn> {
  const giveUpAt = now() + mostWaitMs;
  for (;;) {
    const turn = await refreshTokens.takeTurn(account, turnMs).catch(() => noTurn);
    if (turn !== null) return turn;
    if (now() >= giveUpAt)
      throw new Error(`No access token from ${account.host}: other processes ask for theirs, and take their time`);
    await sleep(lookAgainMs, undefined, { ref: false });
  }
}

/** By the token that is configured: who configures another means that one. */
export function accountOf({ tokenUrl, clientId, user, refreshToken }: OAuth): Account {
  const id = hash('sha256', JSON.stringify([tokenUrl, clientId, user, refreshToken]), 'base64url');
  return { id, host: URL.canParse(tokenUrl) ? new URL(tokenUrl).host : '' };
}
