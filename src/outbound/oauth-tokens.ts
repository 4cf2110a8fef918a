/** Access tokens for XOAUTH2: one book for each process. Tokens are requested when they are needed and kept until shortly before they expire. */
import { hash } from 'node:crypto';
import { type Asking, type Clocks, openAsking, type Remembered } from './oauth-asking.ts';
import type { Account } from './refresh-tokens.ts';
import type { OAuth } from './token-request.ts';

export type Token = {
  readonly value: string;
  /** Whether the token was given for an earlier login or to another process: the server may have revoked it since. */
  readonly isKept: boolean;
};

export type Tokens = {
  /** @throws Error without secrets when there is no token: NoTurnError when only the turn was missing */
  get(): Promise<Token>;
  /** Another token than `refused`, which a server refused. @throws like `get` */
  renew(refused: string): Promise<Token>;
  /** Drops a refused token without requesting another: no login of the fleet uses it from now on. */
  refuse(value: string): Promise<void>;
} & Pick<Asking, 'awaits'>;

/** The tokens of each account: all logins with the same account share them. */
export type TokenBook = (auth: OAuth) => Tokens;

/** Accounts whose tokens are kept; the least recently used one is dropped. */
const mostAccounts = 1_000;

export function openTokenBook(remembered: Remembered, clocks: Clocks): TokenBook {
  const book = new Map<string, Tokens>();
  return (auth) => {
    const key = JSON.stringify(auth);
    const tokens = book.get(key) ?? openTokens(auth, remembered, clocks);
    book.delete(key);
    book.set(key, tokens);
    const [oldest = key] = book.keys();
    if (book.size > mostAccounts) book.delete(oldest);
    return tokens;
  };
}

type Kept = { readonly value: string; readonly until: number };

function openTokens(auth: OAuth, remembered: Remembered, clocks: Clocks): Tokens {
  let kept: Kept | null = null;
  let asking: Promise<Token> | null = null;
  /** The token that was refused last: it may still be shared. */
  let refused: string | null = null;
  const account = accountOf(auth);
  const others = openAsking(auth, account, remembered, clocks);

  function giveUp(value: string): void {
    refused = value;
    if (kept?.value === value) kept = null;
  }

  /** Removes a refused token for all processes: a server would refuse it for them as well. */
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
      // Another connection may have been refused with the same token and renewed it already.
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

/** The account is identified by its configured refresh token as well: a newly configured one starts a new account. */
export function accountOf({ tokenUrl, clientId, user, refreshToken }: OAuth): Account {
  const id = hash('sha256', JSON.stringify([tokenUrl, clientId, user, refreshToken]), 'base64url');
  return { id, host: URL.canParse(tokenUrl) ? new URL(tokenUrl).host : '' };
}
