/** An API without workers, and what the tests of POST /v1/emails/batch ask of it. */
import type { Redis } from 'ioredis';
import { afterAll, beforeAll } from 'vitest';
import { keys } from '../../src/store/keys.ts';
import { type ApiClient, type Postrider, startPostrider } from './postrider.ts';
import { openTestRedis } from './redis.ts';

/** An email without a fault. */
export const good = { from: 'a@example.com', to: 'b@example.org', subject: 'Hi', text: 'Hello' };
/** The header of a batch of which all that is right is stored. */
export const permissive = { 'x-batch-validation': 'permissive' };

type Batches = {
  /** To be asked for in a test: before, it is not there. */
  readonly postrider: Postrider;
  readonly redis: Redis;
  readonly api: ApiClient;
  post(body: unknown, headers?: Record<string, string>): ReturnType<ApiClient>;
  countEmails(): Promise<number>;
};

/** Opens one service for all tests of the file, and closes it after them. */
export function useBatches(): Batches {
  const opened = new AsyncDisposableStack();
  let redis: Redis;
  let postrider: Postrider;
  beforeAll(async () => {
    const server = opened.use(await openTestRedis());
    redis = server.connect();
    postrider = opened.use(await startPostrider({ REDIS_URL: server.url, ROLES: 'api' }));
  });
  afterAll(() => opened.disposeAsync());
  const api: ApiClient = (...args) => postrider.api(...args);
  return {
    get postrider() {
      return postrider;
    },
    get redis() {
      return redis;
    },
    api,
    post: (body, headers = {}) => api('POST', '/v1/emails/batch', body, headers),
    countEmails: async () => (await redis.keys(keys.email('*'))).length,
  };
}
