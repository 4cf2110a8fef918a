/** One Redis for all tests of a file, empty before each of them and closed after the last. */
import { afterAll, beforeAll, beforeEach } from 'vitest';
import { openTestRedis, type TestRedis } from './redis.ts';

/** @param open makes once what the tests of the file use, and puts into `opened` what is to be closed after the last test */
export function useTestRedis(open: (server: TestRedis, opened: AsyncDisposableStack) => void | Promise<void>): void {
  const opened = new AsyncDisposableStack();
  let server: TestRedis;
  beforeAll(async () => {
    server = opened.use(await openTestRedis());
    await open(server, opened);
  });
  beforeEach(async () => {
    await server.tell((client) => client.flushall());
  });
  afterAll(() => opened.disposeAsync());
}
