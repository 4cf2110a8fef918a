/** One Postrider over a Redis of its own for all tests of a file, closed after the last. What a test stores is there for the next. */
import { afterAll, beforeAll } from 'vitest';
import { type Env, type Postrider, startPostrider } from './postrider.ts';
import { openTestRedis, type TestRedis } from './redis.ts';

/**
 * @param open takes what the tests of the file use, and makes what they start from
 * @param env in place of the API alone
 */
export function usePostrider(
  open: (postrider: Postrider, server: TestRedis) => void | Promise<void>,
  env: Env = { ROLES: 'api' },
): void {
  const opened = new AsyncDisposableStack();
  beforeAll(async () => {
    const server = opened.use(await openTestRedis());
    await open(opened.use(await startPostrider({ REDIS_URL: server.url, ...env })), server);
  });
  afterAll(() => opened.disposeAsync());
}
