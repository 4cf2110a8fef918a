/** The outcomes of the tries of one turn are written down together, and each counts for itself. */
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { openDeliveries } from '../../src/store/deliveries.ts';
import { keys } from '../../src/store/keys.ts';
import { openPosts, type Posts } from '../../src/store/posts.ts';
import { leaseMs, longestWaitMs, now, place, settled } from '../support/parcels.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
let posts: Posts;
useTestRedis((server) => {
  redis = server.connect({ enableAutoPipelining: true });
  posts = openPosts(redis);
});

async function takeNew(count: number) {
  const parcels = Array.from({ length: count }, (_, n) => place(n));
  await posts.again('wh_1', parcels, now);
  return posts.take({ id: 'wh_1', batch: null }, { limit: count, leaseMs, longestWaitMs, now });
}

it('those of one turn are written down in one step, and each by its own lease', async () => {
  const { parcels, leaseEnd } = await takeNew(4);
  const [split = '', late = '', last = '', left = ''] = parcels;
  await posts.settle('wh_1', settled(left, leaseEnd, {}), now);
  const halves = [place(7), place(8)];
  const tries = [
    settled(split, leaseEnd, { status: 'failed', endpoint: null, halves }),
    settled(late, leaseEnd - 5_000, {}),
    settled(last, leaseEnd, { status: 'pending', nextAt: now + 5_000 }),
  ];
  await redis.config('RESETSTAT');
  expect(await Promise.all(tries.map((one) => posts.settle('wh_1', one, now)))).toEqual([true, false, true]);
  expect(await redis.info('commandstats')).toContain('cmdstat_evalsha:calls=1,');
  expect(await redis.zrange(keys.posting('wh_1'), '0', '-1')).toEqual([late]);
  const waiting = await redis.zrange(keys.posts('wh_1'), '0', '-1', 'WITHSCORES');
  const scores = [place(7), now, place(8), now, last, now + 5_000, late, leaseEnd];
  expect(waiting).toEqual(scores.map(String));
  const own = await Promise.all(parcels.map((parcel) => openDeliveries(redis).of('wh_1', parcel)));
  expect(own.map((delivery) => delivery?.status)).toEqual(['failed', undefined, 'pending', 'success']);
});

it('they are written down also beside data that cannot be read', async () => {
  const { parcels, leaseEnd } = await takeNew(3);
  const [split = '', down = '', last = ''] = parcels;
  await redis.hset(keys.batchLimit('wh_1'), 'delivery', 'dl_1_1');
  await redis.hset(keys.deliveries('wh_1'), 'dl_1_1', '{"p":');
  await redis.hset(keys.webhooks, 'wh_2', '{"endpoint":');
  await redis.zadd(keys.posting('wh_2'), leaseEnd, down);
  const tries = [
    posts.settle('wh_1', settled(split, leaseEnd, { status: 'failed', endpoint: null, halves: [place(8)] }), now),
    posts.settle('wh_2', settled(down, leaseEnd, { endpoint: 'down' }), now),
    posts.settle('wh_1', settled(last, leaseEnd, {}), now),
  ];
  expect(await Promise.all(tries)).toEqual([true, true, true]);
});

it('a success where an endpoint was before says nothing of where it is now', async () => {
  const { parcels, leaseEnd } = await takeNew(2);
  const [down = '', up = ''] = parcels;
  const url = 'https://example.com/new';
  await redis.hset(keys.webhooks, 'wh_1', JSON.stringify({ endpoint: url }));
  await posts.settle('wh_1', settled(down, leaseEnd, { status: 'pending', nextAt: now, endpoint: 'down', url }), now);
  await posts.settle('wh_1', settled(up, leaseEnd, { url: 'https://example.com/old' }), now);
  expect(await posts.failingSince(['wh_1'])).toEqual([now]);
});

it('a delivery is listed once, with the status of its last try', async () => {
  const deliveries = openDeliveries(redis);
  for (const status of ['pending', 'failed', 'success', 'pending', 'success', 'failed'] as const) {
    const { parcels, leaseEnd } = await takeNew(1);
    await posts.settle('wh_1', settled(parcels[0] ?? '', leaseEnd, { status }), now);
    const { page } = await deliveries.page('wh_1', { limit: 10 });
    expect(page.map((one) => one.status)).toEqual([status]);
  }
});

it('a failure does not end the rest that the endpoint asked for in its answer to another', async () => {
  const { parcels, leaseEnd } = await takeNew(2);
  const down = { status: 'pending', nextAt: now, endpoint: 'down' } as const;
  const tries = parcels.map((parcel, n) =>
    settled(parcel, leaseEnd, { ...down, holdUntil: n === 0 ? now + 60_000 : null }),
  );
  expect(await Promise.all(tries.map((one) => posts.settle('wh_1', one, now)))).toEqual([true, true]);
  const terms = { limit: 2, leaseMs, longestWaitMs };
  const takeAt = (at: number) => posts.take({ id: 'wh_1', batch: null }, { ...terms, now: at });
  expect((await takeAt(now + 59_999)).parcels).toEqual([]);
  expect((await takeAt(now + 60_000)).parcels).toEqual(parcels);
});
