/** Due marks: each is taken by one, and comes back when its taker dies. */
import fc from 'fast-check';
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { type Due, openDue } from '../../src/store/due.ts';
import { keys } from '../../src/store/keys.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
let due: Due;
useTestRedis((server) => {
  redis = server.connect();
  due = openDue(redis);
});

/** As long as a test may take: it ends leases itself. */
const leaseMs = 600_000;
let takes = 0;
const taking = (now: number, limit = 10, name = `take_${takes++}`) => due.take('bulk', name, leaseMs, limit, now);
const endLease = async (name: string) => {
  const taken = await redis.hget(keys.taken('bulk'), name);
  await redis.hset(keys.taken('bulk'), name, taken?.replace(/^\S+/, '1') ?? '');
};
const take = async (now: number, limit = 10) => (await taking(now, limit)).ids;

it('due mail is taken once, the longest due first, and none of the other lane', async () => {
  await redis.zadd(keys.due('bulk'), 30, 'c', 10, 'a', 20, 'b', 41, 'later');
  await redis.zadd(keys.due('transactional'), 10, 'other');
  expect(await take(40, 2)).toEqual(['a', 'b']);
  expect(await take(40)).toEqual(['c']);
  expect(await take(40)).toEqual([]);
});

it('says when there is more', async () => {
  expect((await taking(40)).nextAt).toBeNull();
  await redis.zadd(keys.due('bulk'), 10, 'a', 50, 'b');
  await redis.zadd(keys.again('bulk'), 45, 'c');
  expect((await taking(40)).nextAt).toBe(45);
});

it('retried and new mail share the places', async () => {
  for (let n = 0; n < 10; n++) {
    await redis.zadd(keys.again('bulk'), n, `again_${n}`);
    await redis.zadd(keys.due('bulk'), n, `new_${n}`);
  }
  expect(await take(40, 4)).toEqual(['again_0', 'again_1', 'new_0', 'new_9']);
  await redis.del(keys.due('bulk'));
  expect(await take(40, 4)).toEqual(['again_2', 'again_3', 'again_4', 'again_5']);
});

it('newly accepted mail gets through a heap that is due earlier, and the heap moves on', async () => {
  for (let n = 0; n < 20; n++) await redis.zadd(keys.due('bulk'), 10, `heap_${String(n).padStart(2, '0')}`);
  await redis.zadd(keys.due('bulk'), 30, 'code', 41, 'later');
  const heap = (...places: number[]) => places.map((n) => `heap_${String(n).padStart(2, '0')}`);
  expect(await take(40, 8)).toEqual([...heap(0, 1, 2, 3, 4, 5), heap(19)[0], 'code']);
  expect(await take(40, 8)).toEqual(heap(6, 7, 8, 9, 10, 11, 17, 18));
  expect(await take(40, 8)).toEqual(heap(12, 13, 14, 15, 16));
});

it('a heap of retries leaves places for newly accepted mail', async () => {
  for (let n = 0; n < 10; n++) {
    await redis.zadd(keys.again('bulk'), n, `again_${n}`);
    await redis.zadd(keys.due('bulk'), n, `new_${n}`);
  }
  await redis.zadd(keys.due('bulk'), 30, 'code');
  expect(await take(40, 8)).toEqual(['again_0', 'again_1', 'again_2', 'again_3', 'new_0', 'new_1', 'new_9', 'code']);
});

it('whatever is due, each is taken once, and the longest due with every take', async () => {
  const marks = fc.uniqueArray(fc.nat(60), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(marks, marks, fc.integer({ min: 1, max: 12 }), async (again, fresh, limit) => {
      await redis.flushall();
      for (const at of again) await redis.zadd(keys.again('bulk'), at, `again_${at}`);
      for (const at of fresh) await redis.zadd(keys.due('bulk'), at, `new_${at}`);
      const left = new Set([...again.map((at) => `again_${at}`), ...fresh.map((at) => `new_${at}`)]);
      for (let ids = await take(60, limit); ids.length > 0; ids = await take(60, limit)) {
        const oldest = (name: string) =>
          [...left].filter((id) => id.startsWith(name)).toSorted((a, b) => markOf(a) - markOf(b))[0];
        const firsts = [oldest('again_'), oldest('new_')].filter((id) => id !== undefined);
        expect(ids.length).toBe(Math.min(limit, left.size));
        expect(ids).toEqual(expect.arrayContaining(limit === 1 ? firsts.slice(0, 1) : firsts));
        for (const id of ids) expect(left.delete(id)).toBe(true);
      }
      expect(left.size).toBe(0);
    }),
    { numRuns: 30 },
  );
});
const markOf = (id: string) => Number(id.slice(id.indexOf('_') + 1));

it('a lease ends by the clock of Redis, whatever the clock of the caller says', async () => {
  await redis.zadd(keys.due('bulk'), 10, 'a');
  expect(await take(40)).toEqual(['a']);
  expect(await take(Date.now() + 10 * leaseMs)).toEqual([]);
});

it('mail taken by a feeder that died is due again after the lease, unless it was put into the queue', async () => {
  await redis.zadd(keys.due('bulk'), 10, 'a', 11, 'b');
  expect((await taking(40, 1, 'dies')).ids).toEqual(['a']);
  expect((await taking(40, 1, 'lives')).ids).toEqual(['b']);
  await due.done('bulk', 'lives');
  expect(await take(41)).toEqual([]);
  await endLease('dies');
  expect(await take(41)).toEqual(['a']);
});

it('a take that waited while Redis was away has its whole lease from then on', async () => {
  await redis.zadd(keys.due('bulk'), 10, 'a');
  expect(await take(40)).toEqual(['a']);
  expect(await take(Date.now() + 1)).toEqual([]);
});

it('a take whose answer was lost is answered once more as it was', async () => {
  await redis.zadd(keys.due('bulk'), 10, 'a', 11, 'b');
  const first = await taking(40, 1, 'again');
  expect(first).toEqual({ ids: ['a'], nextAt: 11 });
  expect(await taking(41, 1, 'again')).toEqual(first);
});

it('a feeder that died does not undo a newer mark', async () => {
  await redis.zadd(keys.due('bulk'), 10, 'a');
  await taking(40, 1, 'dies');
  await endLease('dies');
  await due.mark('bulk', [{ id: 'a', at: 5_000 }], 41);
  expect(await take(42)).toEqual([]);
  expect(await due.at('bulk', 'a')).toBe(5_000);
});

it('an email that was moved keeps the mark it got then', async () => {
  await redis.zadd(keys.due('bulk'), 70, 'a');
  await due.mark('bulk', [{ id: 'a', at: 50 }], 40);
  expect(await due.at('bulk', 'a')).toBe(70);
});

it('knows what waits for a file: until its time, and unless it is marked for something else', async () => {
  await due.mark('bulk', [{ id: 'file', at: 100.6, isForFile: true }], 40);
  await due.mark('bulk', [{ id: 'other', at: 100 }], 40);
  const isForFile = (now: number) => Promise.all(['file', 'other', 'none'].map((id) => due.isForFile('bulk', id, now)));
  expect(await isForFile(40)).toEqual([true, false, false]);
  expect(await isForFile(101)).toEqual([false, false, false]);
  await due.mark('bulk', [{ id: 'file', at: 100 }], 40);
  expect(await isForFile(40)).toEqual([false, false, false]);
});

it('rings the bell for mail that is retried soon, not for mail that is retried later', async () => {
  await due.mark('bulk', [{ id: 'a', at: 5_000 }], 1_000);
  expect(await redis.llen(keys.bell)).toBe(0);
  await due.mark('bulk', [{ id: 'b', at: 1_500 }], 1_000);
  await due.mark('bulk', [{ id: 'c', at: 1_000 }], 1_000);
  expect(await redis.llen(keys.bell)).toBe(1);
});

it('counts due and retried mail, not mail that is scheduled for later', async () => {
  await redis.zadd(keys.due('bulk'), 10, 'a', 50, 'scheduled');
  await redis.zadd(keys.again('bulk'), 50, 'deferred');
  expect(await due.waiting('bulk', 40)).toBe(2);
});
