/** Access tokens for XOAUTH2: got for a refresh token (RFC 6749 section 6), kept until shortly before their end, asked for once at a time. */
import { hash } from 'node:crypto';
import { z } from 'zod';
import { tokenUrlFault } from '../domain/token-url.ts';
import type { Auth } from '../domain/transport-plan.ts';

const deadlineMs = 15_000;
/** Bytes of an answer that are read; tokens have a few thousand. */
const maxAnswerBytes = 64 * 1_024;
/** A token is not used in the last part of its life: the login it is for takes time. */
const marginMs = 60_000;
/** Where the server does not say how long a token lives. */
const usualLifeMs = 300_000;

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

type OAuth = Extract<Auth, { kind: 'oauth2' }>;

/** The tokens of each account, the same for whoever logs in with it. */
export type TokenBook = (auth: OAuth) => Tokens;

/** The refresh tokens that token servers gave in place of configured ones, as all processes remember them. */
export type RefreshTokens = {
  /** @returns null where none was given yet */
  newest(account: string): Promise<string | null>;
  keep(account: string, refreshToken: string): Promise<void>;
};

type Kept = { readonly value: string; readonly until: number };

const answerShape = z.object({
  access_token: z.string().regex(/^[\x21-\x7e]+$/),
  expires_in: z.coerce.number().positive().optional(),
  refresh_token: z.string().min(1).optional(),
});
/** The registered errors look like this; nothing that could be a secret does. */
const errorShape = z.object({ error: z.string().regex(/^[a-z_]{1,40}$/) });

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

/** Nothing is remembered beyond the process. */
export const forgetful: RefreshTokens = { newest: async () => null, async keep() {} };

function openTokens(auth: OAuth, refreshTokens: RefreshTokens, now: () => number): Tokens {
  let kept: Kept | null = null;
  let asking: Promise<Kept> | null = null;
  /** The refresh token that this process was given last, in place of the one it used (RFC 6749 section 6): that may be good for nothing any more. */
  let given: { readonly token: string; readonly isStored: boolean } | null = null;
  const account = accountOf(auth);

  /** @throws where it cannot be known: one that was used before may have every other of the account revoked (RFC 9700 section 4.14.2) */
  async function newest(): Promise<string> {
    if (given?.isStored === false) return given.token;
    const stored = await refreshTokens.newest(account).catch(() => {
      if (given === null) throw new Error('The newest refresh token could not be read');
      return null;
    });
    return stored ?? given?.token ?? auth.refreshToken;
  }

  /** What could not be stored is used from here on all the same, and stored with the next answer. */
  async function keep(token: string): Promise<void> {
    given = { token, isStored: false };
    await refreshTokens.keep(account, token).then(
      () => {
        given = { token, isStored: true };
      },
      () => {},
    );
  }

  /** Where one is refused in whose place another process was given a new one meanwhile, that one is tried. */
  async function ask() {
    const used = await newest();
    try {
      return await askFor(auth, used);
    } catch (error) {
      const other = await newest().catch(() => used);
      if (other === used) throw error;
      return askFor(auth, other);
    }
  }

  async function refresh(): Promise<Kept> {
    const answer = await ask();
    const lifeMs = answer.expires_in === undefined ? usualLifeMs : answer.expires_in * 1_000;
    const unstored = given?.isStored === false ? given.token : null;
    const next = answer.refresh_token ?? unstored;
    if (next !== null && (next !== given?.token || unstored !== null)) await keep(next);
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

/** By the token that is configured: who configures another means that one. */
function accountOf({ tokenUrl, clientId, user, refreshToken }: OAuth): string {
  return hash('sha256', JSON.stringify([tokenUrl, clientId, user, refreshToken]), 'base64url');
}

async function askFor(auth: OAuth, refreshToken: string) {
  const fault = tokenUrlFault(auth.tokenUrl);
  if (fault !== null) throw new Error(`The token URL ${fault}`);
  const { host } = new URL(auth.tokenUrl);
  const form = new URLSearchParams({
    grant_type: 'refresh_token',
    refresh_token: refreshToken,
    client_id: auth.clientId,
    // A public client has none.
    ...(auth.clientSecret === '' ? {} : { client_secret: auth.clientSecret }),
  });
  const { status, text } = await post(auth.tokenUrl, form).catch((error: unknown) => {
    throw new Error(`No access token from ${host}: ${why(error)}`);
  });
  const body = parseJson(text);
  const answer = answerShape.safeParse(body);
  if (status === 200 && answer.success) return answer.data;
  const named = errorShape.safeParse(body);
  throw new Error(`No access token from ${host}: it answered ${status}${named.success ? ` ${named.data.error}` : ''}`);
}

async function post(url: string, body: URLSearchParams): Promise<{ status: number; text: string }> {
  const signal = AbortSignal.timeout(deadlineMs);
  const headers = { accept: 'application/json' };
  const answer = await fetch(url, { method: 'POST', body, headers, redirect: 'error', signal });
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of answer.body ?? []) {
    length += chunk.length;
    // Leaving the loop drops the rest with its connection.
    if (length > maxAnswerBytes) throw new Error(`its answer goes on after ${maxAnswerBytes} bytes`);
    chunks.push(chunk);
  }
  return { status: answer.status, text: Buffer.concat(chunks).toString() };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** `fetch` says only that it failed, and keeps the reason as a cause. */
function why(error: unknown): string {
  if (!(error instanceof Error)) return 'failed';
  if (error.name === 'TimeoutError') return `no answer within ${deadlineMs / 1_000} s`;
  return error.cause instanceof Error ? error.cause.message : error.message;
}
