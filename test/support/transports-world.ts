/** A service whose transports stand in a file that a test writes, with what all its journeys ask: what was sent, where, and what Redis says. */
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { expect } from 'vitest';
import { openBudgets } from '../../src/store/budgets.ts';
import { openTransportStates } from '../../src/store/transport-states.ts';
import { type Body, type Env, type Postrider, startPostrider } from './postrider.ts';
import { openTestRedis, type TestRedis } from './redis.ts';
import type { ScriptedSmtp } from './scripted-smtp.ts';
import { until } from './until.ts';

export type World = AsyncDisposable & {
  readonly server: TestRedis;
  readonly redis: Redis;
  readonly states: ReturnType<typeof openTransportStates>;
  readonly budgets: ReturnType<typeof openBudgets>;
  readonly env: Env;
  /** The API; closed with the world, as are workers. */
  readonly api: Postrider;
  /** Writes TRANSPORTS_FILE at one stroke. */
  write(document: object | string): Promise<void>;
  startWorker(more?: Env): Promise<Postrider>;
  send(given?: object): Promise<string>;
  /** As one batch: every email has `base`, and what stands in its place of `messages`. */
  sendAll(base: object, messages: readonly object[]): Promise<string[]>;
  read(id: string): Promise<Body>;
  /** Waits until the email has this status. */
  becomes(id: string, status: string): Promise<Body>;
  parked(transport: string): Promise<number>;
};

const email = { from: 'a@shop.example', to: 'b@example.org', subject: 'Hi', text: 'Hello' };

/** @param document transports, routes and rules, as the file has them */
export async function openWorld(document: object, more: Env = {}): Promise<World> {
  await using opened = new AsyncDisposableStack();
  const dir = await mkdtemp(join(tmpdir(), 'pr-transports-'));
  opened.defer(() => rm(dir, { recursive: true, force: true }));
  const path = join(dir, 'transports.yaml');
  const write = async (text: object | string) => {
    // JSON is YAML.
    await writeFile(`${path}.new`, typeof text === 'string' ? text : JSON.stringify(text));
    await rename(`${path}.new`, path);
  };
  await write(document);
  const server = opened.use(await openTestRedis());
  const redis = server.connect();
  redis.on('error', () => {});
  const fixed = { NODE_ENV: 'production', PUBLIC_URL: 'https://mail.shop.example' };
  const env: Env = { REDIS_URL: server.url, TRANSPORTS_FILE: path, ...fixed, ...more };
  const api = opened.use(await startPostrider({ ...env, ROLES: 'api', LOG_LEVEL: 'warn' }));
  const states = openTransportStates(redis);
  const budgets = openBudgets(redis);
  const read = async (id: string) => (await api.api('GET', `/v1/emails/${id}`)).body;
  const all = opened.move();
  return {
    ...{ server, redis, states, budgets, env, api, write, read },
    startWorker: async (given = {}) => all.use(await startPostrider({ ...env, ROLES: 'worker', ...given })),
    async send(given = {}) {
      const { status, body } = await api.api('POST', '/v1/emails', { ...email, ...given });
      expect([status, body.detail]).toEqual([202, undefined]);
      return body.id;
    },
    async sendAll(base, messages) {
      const { status, body } = await api.api('POST', '/v1/emails/batch', { base: { ...email, ...base }, messages });
      expect([status, body.detail]).toEqual([202, undefined]);
      return body.data.map(({ id }) => id);
    },
    becomes: (id, status) =>
      until(
        `${id} to be ${status}`,
        async () => {
          const body = await read(id);
          return body.status === status && body;
        },
        () => read(id),
      ),
    async parked(transport) {
      const counts = (await budgets.countParked([transport])).get(transport);
      return (counts?.transactional ?? 0) + (counts?.bulk ?? 0);
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

/** A transport of the file: a server of a test, without TLS. */
export function transportAt(port: number, more: object = {}): object {
  return { url: `smtp://127.0.0.1:${port}?tls=none`, ...more };
}

/** The ids of the emails that came to these servers, one for each time one came. */
export function arrivals(...servers: readonly Pick<ScriptedSmtp, 'bodies'>[]): string[] {
  return servers.flatMap(({ bodies }) => bodies.map((body) => /^Message-ID: <(em_\w+)@/im.exec(body)?.[1] ?? body));
}
