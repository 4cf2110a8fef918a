/** Access tokens for XOAUTH2: got for a refresh token (RFC 6749 section 6), kept until shortly before their end, asked for once at a time. */
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

type Kept = { readonly value: string; readonly until: number };

const answerShape = z.object({
  access_token: z.string().regex(/^[\x21-\x7e]+$/),
  expires_in: z.coerce.number().positive().optional(),
  refresh_token: z.string().min(1).optional(),
});
/** The registered errors look like this; nothing that could be a secret does. */
const errorShape = z.object({ error: z.string().regex(/^[a-z_]{1,40}$/) });

/** @param now milliseconds of a clock that never goes back */
export function openTokens(auth: Extract<Auth, { kind: 'oauth2' }>, now: () => number): Tokens {
  let kept: Kept | null = null;
  let asking: Promise<Kept> | null = null;
  /** A server may give a new one with each answer and let the old one lapse. */
  let { refreshToken } = auth;

  async function refresh(): Promise<Kept> {
    const answer = await askFor(auth, refreshToken);
    const lifeMs = answer.expires_in === undefined ? usualLifeMs : answer.expires_in * 1_000;
    refreshToken = answer.refresh_token ?? refreshToken;
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

async function askFor(auth: Extract<Auth, { kind: 'oauth2' }>, refreshToken: string) {
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
