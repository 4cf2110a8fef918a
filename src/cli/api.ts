/** A client of the API for operator commands. */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { request as requestTls } from 'node:https';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text as textOf } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { readConfig } from '../config.ts';
import { inPlainWords } from '../domain/tls-trouble.ts';
import { addressOf } from './command.ts';

/** The API refused a request, did not answer, or could not be sent all of it. */
export class ApiFault extends Error {
  /** When another try may succeed: there was no answer, or one that says the trouble passes. Null when another try would not help. */
  readonly passing: { readonly afterMs: number } | null;
  /** The status of the answer; null when there was none. */
  readonly status: number | null;

  constructor(message: string, passing: ApiFault['passing'] = null, status: number | null = null) {
    super(message);
    this.passing = passing;
    this.status = status;
  }
}

/** What is to be sent cannot be read. That is no fault of the API, and another try would end at the same place. */
export class UnreadFault extends Error {}

type Asked = {
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Streamed as it comes, with headers that say what it is. It may fail with an `UnreadFault`. */
  readonly stream?: Readable;
  readonly headers?: Readonly<Record<string, string>>;
};

/** @returns the answer, parsed from JSON. @throws ApiFault */
export type Api = <Answer>(method: 'GET' | 'POST' | 'DELETE', path: string, asked?: Asked) => Promise<Answer>;

/**
 * @param given the URL of the API and the key; by default those of this environment
 * @throws ConfigError ApiFault
 */
export async function openApi(
  given: {
    readonly url?: string | undefined;
    readonly key?: string | undefined;
  },
  limits: Limits = usualLimits,
): Promise<Api> {
  if (given.url !== undefined && !isWebUrl(given.url))
    throw new ApiFault(`--url ${given.url} is not the address of an API, such as http://127.0.0.1:8080`);
  const config = given.url === undefined || given.key === undefined ? readConfig() : null;
  const url = given.url ?? (config && addressOf(config));
  if (url === null) throw new ApiFault('The address of the API is unknown: give --url, or set PORT');
  const key = given.key ?? config?.POSTRIDER_API_KEY ?? (await readKey(config?.DATA_DIR ?? ''));
  return (method, path, asked) => call({ url, key, limits }, method, path, asked);
}

function isWebUrl(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
}

/** From an API that is overloaded, or from a proxy before an API that is away. */
const passingStatuses = new Set([429, 502, 503, 504]);

type Limits = {
  /** Time limit for an answer. An upload has none. */
  readonly deadlineMs: number;
  /** An upload that stops moving for this long is given up, and so is one whose answer takes this long after the last byte. */
  readonly stillMs: number;
};

const usualLimits: Limits = { deadlineMs: 30_000, stillMs: 120_000 };

async function readKey(dataDir: string): Promise<string> {
  const path = join(dataDir, 'api-key');
  const key = await readFile(path, 'utf8').catch(() => {
    throw new ApiFault(`There is no API key: give --key, set POSTRIDER_API_KEY, or run where ${path} is`);
  });
  return key.trim();
}

async function call<Answer>(
  { url, key, limits }: { readonly url: string; readonly key: string; readonly limits: Limits },
  method: string,
  path: string,
  { body, stream, headers = {} }: Asked = {},
): Promise<Answer> {
  const to = new URL(`${url.replace(/\/+$/, '')}/v1${path}`);
  const json = body === undefined ? {} : { 'content-type': 'application/json' };
  const asking = (to.protocol === 'https:' ? requestTls : request)(to, {
    method,
    ...(stream === undefined ? { signal: AbortSignal.timeout(limits.deadlineMs) } : { timeout: limits.stillMs }),
    headers: { authorization: `Bearer ${key}`, ...json, ...headers },
  });
  let isStill = false;
  let unread: UnreadFault | null = null;
  // The request then ends as if the API had closed the connection.
  stream?.once('error', (error) => {
    if (error instanceof UnreadFault) unread = error;
  });
  const unanswered = (error: Error) => {
    if (unread !== null) throw new ApiFault(unread.message);
    // Another try would take as long again and end in the same way.
    if (isStill) throw new ApiFault(`No data for ${limits.stillMs / 1_000} s: no answer from ${url}`);
    throw new ApiFault(`No answer from ${url}: ${inPlainWords(error.message)}`, { afterMs: 0 });
  };
  asking.once('timeout', () => {
    isStill = true;
    asking.destroy(new Error('Nothing moved'));
  });
  const answered = once(asking, 'response').catch(unanswered);
  // An answer before everything was sent says why the rest is not wanted.
  if (stream !== undefined) pipeline(stream, asking).catch(() => {});
  else asking.end(body === undefined ? undefined : JSON.stringify(body));
  try {
    const [answer] = (await answered) as [IncomingMessage];
    return read(answer, await textOf(answer).catch(unanswered));
  } finally {
    // Stops sending the rest, which would keep the process running.
    asking.destroy();
  }
}

function read<Answer>({ statusCode = 0, headers }: IncomingMessage, text: string): Answer {
  const said = parse(text) as { readonly detail?: string } | null;
  if (statusCode < 300 && said !== null) return said as Answer;
  throw new ApiFault(
    said?.detail ?? `Answered ${statusCode}: ${text.slice(0, 200)}`,
    passingOf(statusCode, headers['retry-after']),
    statusCode,
  );
}

/** @param retryAfter in seconds, as the API gives it. Any other form comes from a proxy, and says only that the trouble passes. */
function passingOf(statusCode: number, retryAfter: string | undefined): ApiFault['passing'] {
  if (retryAfter === undefined) return passingStatuses.has(statusCode) ? { afterMs: 0 } : null;
  const seconds = Number(retryAfter);
  return { afterMs: Number.isFinite(seconds) ? seconds * 1_000 : 0 };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
