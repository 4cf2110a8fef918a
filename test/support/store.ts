/** The whole store over a Redis of a test's own. */
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { type IdPrefix, makeId } from '../../src/domain/id.ts';
import { openStore } from '../../src/store/store.ts';
import { openTestRedis } from './redis.ts';

export type TestStore = AsyncDisposable & {
  readonly redis: Redis;
  readonly store: Awaited<ReturnType<typeof openStore>>;
};

export async function openTestStore(): Promise<TestStore> {
  await using opened = new AsyncDisposableStack();
  const redis = opened.use(await openTestRedis()).connect();
  const store = await storeOver(redis);
  const all = opened.move();
  return { redis, store, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

export function storeOver(redis: Redis): ReturnType<typeof openStore> {
  return openStore(redis, Buffer.alloc(32), () => randomBytes(12));
}

/** An id of this moment. */
export function newId(prefix: IdPrefix): string {
  return makeId(prefix, Date.now(), randomBytes(10));
}
