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
import { addressOf } from './command.ts';

/** The API said no, or nothing. */
export class ApiFault extends Error {
  /** Whether another try may go well: nobody answered, or the answer said when to come again. */
  readonly isPassing: boolean;

  constructor(message: string, isPassing = false) {
    super(message);
    this.isPassing = isPassing;
  }
}

export type Asked = {
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Sent as it comes, with headers that say what it is. */
  readonly stream?: Readable;
  readonly headers?: Readonly<Record<string, string>>;
};

/** @returns what was answered, read from JSON. @throws ApiFault */
export type Api = <Answer>(method: 'GET' | 'POST', path: string, asked?: Asked) => Promise<Answer>;

/**
 * @param given where it is and the key to call it with; by default those of this environment
 * @throws ConfigError ApiFault
 */
export async function openApi(given: {
  readonly url?: string | undefined;
  readonly key?: string | undefined;
}): Promise<Api> {
  const config = given.url === undefined || given.key === undefined ? readConfig() : null;
  const url = given.url ?? (config && addressOf(config));
  if (url === null || !URL.canParse(url))
    throw new ApiFault('Where the API is cannot be known: give --url, or set PORT');
  const key = given.key ?? config?.POSTRIDER_API_KEY ?? (await readKey(config?.DATA_DIR ?? ''));
  return (method, path, asked) => call(url, key, method, path, asked);
}

/** An answer that takes longer is none. */
const deadlineMs = 30_000;

async function readKey(dataDir: string): Promise<string> {
  const path = join(dataDir, 'api-key');
  const key = await readFile(path, 'utf8').catch(() => {
    throw new ApiFault(`There is no API key: give --key, set POSTRIDER_API_KEY, or run where ${path} is`);
  });
  return key.trim();
}

async function call<Answer>(
  url: string,
  key: string,
  method: string,
  path: string,
  { body, stream, headers = {} }: Asked = {},
): Promise<Answer> {
  const to = new URL(`${url.replace(/\/+$/, '')}/v1${path}`);
  const json = body === undefined ? {} : { 'content-type': 'application/json' };
  const asking = (to.protocol === 'https:' ? requestTls : request)(to, {
    method,
    // An upload takes as long as it takes.
    ...(stream === undefined ? { signal: AbortSignal.timeout(deadlineMs) } : {}),
    headers: { authorization: `Bearer ${key}`, ...json, ...headers },
  });
  const unanswered = (error: Error) => {
    throw new ApiFault(`No answer of ${url}: ${error.message}`, true);
  };
  const answered = once(asking, 'response').catch(unanswered);
  // An answer that comes before all was sent says why the rest is not wanted.
  if (stream !== undefined) pipeline(stream, asking).catch(() => {});
  else asking.end(body === undefined ? undefined : JSON.stringify(body));
  const [answer] = (await answered) as [IncomingMessage];
  return read(answer, await textOf(answer).catch(unanswered));
}

function read<Answer>({ statusCode = 0, headers }: IncomingMessage, text: string): Answer {
  const said = parse(text) as { readonly detail?: string } | null;
  if (statusCode >= 300 || said === null)
    throw new ApiFault(
      said?.detail ?? `Answered ${statusCode}: ${text.slice(0, 200)}`,
      headers['retry-after'] !== undefined,
    );
  return said as Answer;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
