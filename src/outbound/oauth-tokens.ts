/** Access tokens for XOAUTH2: one book for each process, got as they are needed, kept until shortly before their end. */
import { hash } from 'node:crypto';
import { type Asking, type Clocks, noTurn, openAsking, type Remembered } from './oauth-asking.ts';
import type { Account } from './refresh-tokens.ts';
import type { OAuth } from './token-request.ts';

export type Token = {
  readonly value: string;
  /** Whether it was got for an earlier login, or by another process: the server may have revoked it since. */
  readonly isKept: boolean;
};

export type Tokens = {
  /** @throws Error without secrets when none can be had: NoTurnError where that is nobody's fault */
  get(): Promise<Token>;
  /** A token other than this one, which was refused. @throws like `get` */
  renew(refused: string): Promise<Token>;
  /** This one was refused, and is not got anew now: no login of the fleet takes it from now on. */
  refuse(value: string): Promise<void>;
} & Pick<Asking, 'awaits'>;

/** The tokens of each account, the same for whoever logs in with it. */
export type TokenBook = (auth: OAuth) => Tokens;

/** Accounts whose tokens are at hand; one that is not used for longest is looked up anew. */
const mostAccounts = 1_000;

/** @param now milliseconds of a clock that never goes back; @param date since the epoch */
export function openTokenBook(remembered: Remembered, now: () => number, date: () => number = Date.now): TokenBook {
  const book = new Map<string, Tokens>();
  return (auth) => {
    const key = JSON.stringify(auth);
    const tokens = book.get(key) ?? openTokens(auth, remembered, { now, date });
    book.delete(key);
    book.set(key, tokens);
    const [oldest = key] = book.keys();
    if (book.size > mostAccounts) book.delete(oldest);
    return tokens;
  };
}

/** Nothing is remembered beyond the process. */
export const forgetful: Remembered = {
  refreshTokens: { newest: async () => null, keep: async () => {}, takeTurn: async () => noTurn },
  accessTokens: { shared: async () => null, share: async () => {}, drop: async () => {} },
};

type Kept = { readonly value: string; readonly until: number };

function openTokens(auth: OAuth, remembered: Remembered, clocks: Clocks): Tokens {
  let kept: Kept | null = null;
  let asking: Promise<Token> | null = null;
  /** Refused last: it may be shared still. */
  let refused: string | null = null;
  const account = accountOf(auth);
  const others = openAsking(auth, account, remembered, clocks);

  function giveUp(value: string): void {
    refused = value;
    if (kept?.value === value) kept = null;
  }

  /** Others would be refused with it as well. */
  async function drop(value: string): Promise<void> {
    await remembered.accessTokens.drop(account.id, value).catch(() => {});
  }

  async function obtain(): Promise<Token> {
    if (refused !== null) await drop(refused);
    const { value, isShared, until } = await others.obtain((token) => token === refused);
    kept = { value, until };
    return { value, isKept: isShared };
  }

  function fresh(): Promise<Token> {
    asking ??= obtain().finally(() => {
      asking = null;
    });
    return asking;
  }

  return {
    async get() {
      if (kept !== null && clocks.now() < kept.until) return { value: kept.value, isKept: true };
      return fresh();
    },
    async renew(value) {
      // Another connection may have been refused with the same one before.
      if (kept !== null && kept.value !== value) return { value: kept.value, isKept: true };
      giveUp(value);
      return fresh();
    },
    async refuse(value) {
      giveUp(value);
      await drop(value);
    },
    get awaits() {
      return others.awaits;
    },
  };
}

/** By the token that is configured: who configures another means that one. */
export function accountOf({ tokenUrl, clientId, user, refreshToken }: OAuth): Account {
  const id = hash('sha256', JSON.stringify([tokenUrl, clientId, user, refreshToken]), 'base64url');
  return { id, host: URL.canParse(tokenUrl) ? new URL(tokenUrl).host : '' };
}
