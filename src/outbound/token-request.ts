/** One request for an access token (RFC 6749 section 6). */
import { z } from 'zod';
import { inPlainWords } from '../domain/tls-trouble.ts';
import { tokenUrlFault } from '../domain/token-url.ts';
import type { Auth } from '../domain/transport-plan.ts';

const deadlineMs = 15_000;
/** Most bytes of an answer that are read; an answer with tokens has a few thousand. */
const maxAnswerBytes = 64 * 1_024;

export type OAuth = Extract<Auth, { kind: 'oauth2' }>;

export type TokenAnswer = z.output<typeof answerShape>;

const answerShape = z.object({
  access_token: z.string().regex(/^[\x21-\x7e]+$/),
  expires_in: z.coerce.number().positive().optional(),
  refresh_token: z.string().min(1).optional(),
});
/** The registered error codes match this; a secret would not. */
const errorShape = z.object({ error: z.string().regex(/^[a-z_]{1,40}$/) });

/** @throws Error without secrets when no token is given */
export async function requestToken(auth: OAuth, refreshToken: string): Promise<TokenAnswer> {
  const fault = tokenUrlFault(auth.tokenUrl);
  if (fault !== null) throw new Error(`The token URL ${fault}`);
  const { host } = new URL(auth.tokenUrl);
  const form = new URLSearchParams({
    grant_type: 'refresh_token',
    refresh_token: refreshToken,
    client_id: auth.clientId,
    // A public client has no secret.
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
    // Leaving the loop closes the connection and drops the rest.
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
  return inPlainWords(error.cause instanceof Error ? error.cause.message : error.message);
}
