/** One Redis for all tests of a file, empty before each of them and closed after the last. */
import { afterAll, beforeAll, beforeEach } from 'vitest';
import { openTestRedis, type TestRedis } from './redis.ts';

/** @param open what the tests of the file ask of it, made once */
export function useTestRedis(open: (server: TestRedis) => void | Promise<void>): void {
  const opened = new AsyncDisposableStack();
  let server: TestRedis;
  beforeAll(async () => {
    server = opened.use(await openTestRedis());
    await open(server);
  });
  beforeEach(async () => {
    await server.tell((client) => client.flushall());
  });
  afterAll(() => opened.disposeAsync());
}
