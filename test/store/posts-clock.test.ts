/** What waits for endpoints once the clock of Redis, which was ahead, is right again. */
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
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

const jumped = now + 3 * longestWaitMs;
const places = Array.from({ length: 3 }, (_, n) => place(n));
const take = (at: number, limit = 10) =>
  posts.take({ id: 'wh_1', batch: null }, { limit, leaseMs, longestWaitMs, now: at });

it('a parcel that waits for longer than any wait lasts is due, and its endpoint with it', async () => {
  await posts.again('wh_1', places, jumped);
  expect(await posts.due(now, 10, longestWaitMs)).toMatchObject({ ids: ['wh_1'] });
  expect((await take(now)).parcels).toEqual(places);
  expect(await posts.due(now, 10, longestWaitMs)).toEqual({ ids: [], nextAt: now + leaseMs });
});

it('one that waits for as long as it may goes on waiting', async () => {
  await posts.again('wh_1', places, now);
  const { parcels, leaseEnd } = await take(now, 1);
  const nextAt = now + longestWaitMs;
  const again = { status: 'pending', nextAt, endpoint: 'down' } as const;
  await posts.settle('wh_1', settled(parcels[0] ?? '', leaseEnd, again), now);
  expect((await take(now)).parcels).toEqual(places.slice(1));
  expect(Number(await redis.zscore(keys.posts('wh_1'), places[0] ?? ''))).toBe(nextAt);
});

it('the lease of a worker that died meanwhile takes no place of others', async () => {
  await posts.again('wh_1', places, jumped);
  await take(jumped);
  const { parcels, dueSince } = await take(now);
  expect(parcels).toEqual(places);
  expect(dueSince).toEqual([now, now, now]);
});

it('a rest that begins later than now is over, and the next is kept to', async () => {
  await posts.again('wh_1', places, now);
  await redis.hset(keys.health('wh_1'), {
    failures: 9,
    failingSince: jumped,
    restUntil: now + 66_000,
    restSince: now + 6_000,
  });
  const { parcels, leaseEnd } = await take(now);
  expect(parcels).toHaveLength(1);
  const down = { status: 'pending', nextAt: now + 5_000, endpoint: 'down', restUntil: now + 1_000 } as const;
  await posts.settle('wh_1', settled(parcels[0] ?? '', leaseEnd, down), now);
  expect((await take(now)).parcels).toEqual([]);
  expect((await take(now + 1_000)).parcels).toHaveLength(1);
});
