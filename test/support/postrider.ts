/** Postrider as a real process, and a client that talks to it. */
import { fileURLToPath } from 'node:url';
import { request } from 'undici';
import { expectConformance } from './conformance.ts';
import { type Running, startProcess } from './processes.ts';

export const testApiKey = 'pr_test_key_0123456789abcdef';
export const testSecretKey = '00'.repeat(32);
/** Without them it makes its own, in the folder it is started from. */
export const testKeys = { POSTRIDER_API_KEY: testApiKey, SECRET_KEY: testSecretKey };

export const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** Everything as it is in production but quick: short locks, short waits. */
const quick = {
  PORT: '0',
  ...testKeys,
  WORKER_LOCK: '1s',
  RETRY_SCHEDULE: '200ms',
  WEBHOOK_TIMEOUT: '5s',
  WEBHOOK_SCHEDULE: '200ms,200ms,200ms,500ms,1s,1s',
  SHUTDOWN_TIMEOUT: '5s',
};

export type Env = Record<string, string | undefined>;
export type Postrider = Running & { readonly url: string; readonly api: ApiClient };

/** Starts a process with every role `env` asks for and waits until it is up. */
export async function startPostrider(env: Env, nodeArgs: readonly string[] = []): Promise<Postrider> {
  const running = startProcess(process.execPath, [...nodeArgs, main], { env: { ...quick, ...env } });
  try {
    const [, url = ''] = await running.printed(/listening on ([^\s"]+)|worker is running/);
    return { ...running, url, api: apiClient(url) };
  } catch (error) {
    await running[Symbol.asyncDispose]();
    throw error;
  }
}

export type Answer = {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: Body;
};

/** The fields of any answer that tests reach into; what a given answer really has is for its assertions to say. */
export type Body = {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  readonly moves_at: string;
  readonly waits_for: readonly object[];
  readonly token: string;
  readonly last_used_at: string | null;
  readonly has_more: boolean;
  readonly checks: readonly { name: string; ok: boolean; detail?: string }[];
  readonly signing_secret: string;
  readonly data: readonly Body[];
  readonly recipients: readonly {
    email: string;
    kind: string;
    status: string;
    attempts: number;
    transport: string | null;
    reason: string | null;
    smtp: Smtp | null;
  }[];
  readonly errors: readonly { pointer: string; code: string; message: string }[];
  readonly detail: string;
  readonly created_at: string;
  readonly message_id: string;
  readonly external_id: string | null;
  readonly metadata: Readonly<Record<string, unknown>>;
  /** Of an explanation. */
  readonly reason: string;
  readonly summary: string;
};

export type Smtp = { readonly code: number; readonly enhanced: string | null; readonly reply: string };

export type ApiClient = (
  method: 'GET' | 'HEAD' | 'OPTIONS' | 'POST' | 'DELETE' | 'PATCH',
  path: string,
  body?: unknown,
  headers?: Record<string, string>,
) => Promise<Answer>;

const json = 'application/json';

/** Each answer is held to openapi.yaml. */
export function apiClient(url: string, key: string | null = testApiKey): ApiClient {
  return async (method, path, body, headers = {}) => {
    const sent = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    const answer = await request(`${url}${path}`, {
      method,
      headers: {
        // As fetch and curl say.
        accept: '*/*',
        ...(key === null ? {} : { authorization: `Bearer ${key}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(sent === undefined ? {} : { body: sent }),
    });
    const text = await answer.body.text();
    // A permissive batch may hold what is refused, and what is not JSON is no such body.
    const isHeld = headers['x-batch-validation'] !== 'permissive' && (headers['content-type'] ?? json) === json;
    const told = isHeld ? sent : undefined;
    expectConformance({ method, url: path, sent: told, status: answer.statusCode, headers: answer.headers, text });
    return {
      status: answer.statusCode,
      headers: answer.headers,
      body: text.startsWith('{') || text.startsWith('[') ? JSON.parse(text) : text,
    };
  };
}
