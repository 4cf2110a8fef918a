/** Parcels that are replayed, and the lease of one that is in hand meanwhile. */
import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { openDeliveries, unpackDelivery } from '../../src/store/deliveries.ts';
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

const take = (at = now) => posts.take({ id: 'wh_1', batch: null }, { limit: 10, leaseMs, longestWaitMs, now: at });
const replay = () => posts.again('wh_1', [place(0)], now);

describe('a parcel that is replayed while it is in hand', () => {
  const next = now + 5_000;
  it.each([
    ['failed for good', { status: 'failed' }, [place(0)], 0],
    ['comes again later', { status: 'pending', nextAt: next }, [place(0)], 0],
    ['succeeded', {}, [], 1],
    ['went out in halves', { status: 'failed', halves: [place(7), place(8)] }, [place(7), place(8)], 1],
  ] as const)('and %s goes out at once, each event once', async (_, came, due, scheduleTries) => {
    await replay();
    const { parcels, leaseEnd } = await take();
    await Promise.all([replay(), replay()]);
    const [parcel = ''] = parcels;
    expect((await take()).parcels).toEqual([]);
    expect(await posts.settle('wh_1', settled(parcel, leaseEnd, came), now)).toBe(true);
    expect((await take()).parcels).toEqual(due);
    const [json = ''] = await redis.hvals(keys.deliveries('wh_1'));
    expect(unpackDelivery(json, 'failed').scheduleTries).toBe(scheduleTries);
    await posts.settle('wh_1', settled(parcel, leaseEnd, { status: 'pending', nextAt: next }), now);
    expect((await take()).parcels).toEqual([]);
  });

  it('starts its schedule again also when the worker that had it in hand has died', async () => {
    await replay();
    const first = await take();
    const again = { status: 'pending', nextAt: next } as const;
    await posts.settle('wh_1', settled(place(0), first.leaseEnd, again), now);
    await take(next);
    await replay();
    const { parcels, leaseEnd } = await take(next + leaseMs);
    expect(parcels).toEqual([place(0)]);
    expect(await openDeliveries(redis).of('wh_1', place(0))).toMatchObject({ attempts: 1, scheduleTries: 0 });
    await posts.settle('wh_1', settled(place(0), leaseEnd, again), next + leaseMs);
    expect(await redis.zscore(keys.posts('wh_1'), place(0))).toBe(String(next));
  });
});
