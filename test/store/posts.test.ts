/** What waits for endpoints costs little, is bounded, and is taken by one at a time. */
import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import type { DeliveryStatus } from '../../src/domain/delivery.ts';
import { openDeliveries } from '../../src/store/deliveries.ts';
import { keys } from '../../src/store/keys.ts';
import { outboxGroup } from '../../src/store/outbox.ts';
import { openPosts, type Posts } from '../../src/store/posts.ts';
import { leaseMs, longestWaitMs, now, place, settled } from '../support/parcels.ts';
import type { TestRedis } from '../support/redis.ts';
import { useTestRedis } from '../support/use-redis.ts';

let server: TestRedis;
let redis: Redis;
let posts: Posts;
useTestRedis((own) => {
  server = own;
  redis = server.connect({ enableAutoPipelining: true });
  posts = openPosts(redis);
});

const single = { id: 'wh_1', batch: null };
const take = (
  webhook: { id: string; batch: { maxEvents: number; maxWaitMs: number } | null } = single,
  at = now,
  limit = 1_000,
) => posts.take(webhook, { limit, leaseMs, longestWaitMs, now: at });
const wait = (count: number, from = 0) =>
  posts.again(
    'wh_1',
    Array.from({ length: count }, (_, n) => place(from + n)),
    now,
  );

const dropLost = async (at: number) => (await posts.dropLost('wh_1', at, 10)).parcels;

describe('what waits', () => {
  it('for a dead endpoint takes less than 150 bytes an event', async () => {
    const used = async () => Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1]);
    const before = await used();
    for (let from = 0; from < 20_000; from += 1_000) await wait(1_000, from);
    const bytes = ((await used()) - before) / 20_000;
    console.log(`an event that waits: ${Math.round(bytes)} bytes`);
    expect(await redis.zcard(keys.posts('wh_1'))).toBe(20_000);
    expect(bytes).toBeLessThan(150);
  });

  it('is taken by one worker at a time, fifty at most in the fleet, the longest due first', async () => {
    await wait(120);
    const [first, second, third] = await Promise.all([
      take(single, now, 30),
      take(single, now, 30),
      take(single, now, 30),
    ]);
    expect([first, second, third].map(({ parcels }) => parcels.length)).toEqual([30, 20, 0]);
    const taken = [...first.parcels, ...second.parcels];
    expect(taken).toEqual(Array.from({ length: 50 }, (_, n) => place(n)));
    expect((await take(single, now + leaseMs - 1)).parcels).toEqual([]);
    expect((await take(single, now + leaseMs)).parcels).toHaveLength(50);
  });

  it('counts as due when there is something to do, and not while all places are taken', async () => {
    expect(await posts.due(now, 10, longestWaitMs)).toEqual({ ids: [], nextAt: null });
    await wait(51);
    expect((await posts.due(now, 10, longestWaitMs)).ids).toEqual(['wh_1']);
    const { parcels, leaseEnd } = await take();
    expect(await posts.due(now, 10, longestWaitMs)).toEqual({ ids: [], nextAt: leaseEnd });
    await posts.settle('wh_1', settled(parcels[0] ?? '', leaseEnd, {}), now);
    expect((await posts.due(now, 10, longestWaitMs)).ids).toEqual(['wh_1']);
  });

  it('goes once its events are no longer stored, and stays as long as one of them is', async () => {
    const batched = { id: 'wh_1', batch: { maxEvents: 4, maxWaitMs: 0 } };
    await wait(4);
    const { parcels, leaseEnd } = await take(batched);
    const again = { status: 'pending', nextAt: now + 5_000, endpoint: 'down' } as const;
    await posts.settle('wh_1', settled(parcels[0] ?? '', leaseEnd, again), now);
    await wait(4, 4);
    expect(await dropLost(now)).toBe(0);
    await redis.set(keys.outboxTrimmed, place(2));
    expect(await dropLost(now)).toBe(0);
    await redis.set(keys.outboxTrimmed, place(5));
    expect(await dropLost(now)).toBe(3);
    expect(await redis.zrange(keys.posts('wh_1'), '0', '-1')).toEqual([place(6), place(7)]);
    await redis.set(keys.outboxTrimmed, place(10));
    expect(await dropLost(now)).toBe(2);
    expect(await posts.due(now, 1, longestWaitMs)).toEqual({ ids: [], nextAt: null });
  });

  it('a dropped post is stored as failed, with its tries, if any, and the reason', async () => {
    await wait(4);
    const { parcels, leaseEnd } = await take(single, now, 3);
    const [tried = '', fails = '', replayed = ''] = parcels;
    const again = { status: 'pending', nextAt: now + 5_000, endpoint: 'down' } as const;
    await posts.settle('wh_1', settled(tried, leaseEnd, again), now);
    await posts.settle('wh_1', settled(fails, leaseEnd, { status: 'failed' }), now);
    await posts.settle('wh_1', settled(replayed, leaseEnd, {}), now);
    await posts.again('wh_1', [replayed], now);
    await redis.set(keys.outboxTrimmed, place(9));
    expect(await dropLost(now)).toBe(3);
    const { page } = await openDeliveries(redis).page('wh_1', { limit: 10 });
    const why = expect.stringMatching(/RETENTION_EVENTS/);
    const told = page.map(({ parcel, status, reason, attempts, nextAt }) => [parcel, status, reason, attempts, nextAt]);
    expect(told).toEqual([
      [place(3), 'failed', why, 0, null],
      [replayed, 'failed', why, 1, null],
      [fails, 'failed', null, 1, null],
      [tried, 'failed', why, 1, null],
    ]);
    expect(await redis.zcard(keys.deliveriesBy('wh_1', 'pending'))).toBe(0);
  });

  it('stays while a worker has it in hand, and goes once the lease of one that died is over', async () => {
    await wait(3);
    const { parcels, leaseEnd } = await take(single, now, 1);
    await redis.set(keys.outboxTrimmed, place(9));
    expect(await dropLost(now)).toBe(2);
    expect(await redis.zrange(keys.posts('wh_1'), '0', '-1')).toEqual(parcels);
    expect(await dropLost(now)).toBe(0);
    expect(await dropLost(leaseEnd)).toBe(1);
  });

  it('thousands of dropped posts leave the tried ones in the log, and only a few of the rest are stored', async () => {
    await wait(40);
    const { parcels, leaseEnd } = await take(single, now, 40);
    for (const parcel of parcels) await posts.settle('wh_1', settled(parcel, leaseEnd, { status: 'failed' }), now);
    for (let from = 100; from < 2_600; from += 500) await wait(500, from);
    await redis.set(keys.outboxTrimmed, place(9_999));
    expect(await posts.dropLost('wh_1', now, 10)).toEqual({ parcels: 500, untried: 10 });
    for (let more = 1; more > 0; ) more = (await posts.dropLost('wh_1', now, 0)).parcels;
    expect(await redis.zcard(keys.posts('wh_1'))).toBe(0);
    const { page } = await openDeliveries(redis).page('wh_1', { status: 'failed', limit: 100 });
    expect(page.filter(({ attempts }) => attempts > 0).map(({ parcel }) => parcel)).toEqual(parcels.toReversed());
    expect(page.filter(({ attempts }) => attempts === 0)).toHaveLength(10);
  });

  it('in a full log, a dropped post that was never tried replaces no failed one', async () => {
    for (let from = 0; from < 1_000; from += 50) {
      await wait(50, from);
      const { parcels, leaseEnd } = await take(single, now, 50);
      for (const parcel of parcels) await posts.settle('wh_1', settled(parcel, leaseEnd, { status: 'failed' }), now);
    }
    await wait(5, 1_000);
    await redis.set(keys.outboxTrimmed, place(9_999));
    expect(await posts.dropLost('wh_1', now, 10)).toEqual({ parcels: 5, untried: 0 });
    expect(await redis.zcard(keys.deliveriesBy('wh_1', 'failed'))).toBe(1_000);
  });

  it('of an endpoint that is gone is not kept, and of one that is there is', async () => {
    await redis.xgroup('CREATE', keys.outbox, outboxGroup, '$', 'MKSTREAM');
    const at = (await redis.xadd(keys.outbox, '*', 'event', '{}')) ?? '';
    await redis.xreadgroup('GROUP', outboxGroup, 'a worker', 'STREAMS', keys.outbox, '>');
    await redis.hset(keys.webhooks, 'wh_1', '{}');
    await posts.hand([{ place: at, webhookIds: ['wh_1', 'wh_gone'] }], now);
    expect(await redis.zrange(keys.posts('wh_1'), '0', '-1')).toEqual([at]);
    expect(await redis.keys('*wh_gone*')).toEqual([]);
  });
});

describe('data of a disabled endpoint', () => {
  const log = keys.deliveries('wh_1');
  const ring = (status: DeliveryStatus) => keys.deliveriesBy('wh_1', status);
  /** So many deliveries that were tried and come again. */
  async function tried(count: number): Promise<void> {
    const write = redis.pipeline();
    for (let n = 0; n < count; n++) write.hset(log, `dl_${n}`, '{}').zadd(ring('pending'), now + n, `dl_${n}`);
    await write.exec();
    await redis.zadd(keys.posts('wh_1'), now, place(1));
    await redis.zadd(keys.postsDue, now, 'wh_1');
  }

  it('are the newest of the deliveries it was owed, as failed, and no others', async () => {
    await tried(2_500);
    await redis.zadd(ring('failed'), now + 2_000.5, 'dl_before', 1, 'dl_first');
    await redis.hset(log, 'dl_before', '{}', 'dl_first', '{}');
    await posts.drop('wh_1');
    const kept = await redis.zrevrange(ring('failed'), 0, -1);
    expect(kept).toEqual([
      ...Array.from({ length: 1_000 }, (_, n) => `dl_${2_499 - n}`).toSpliced(499, 0, 'dl_before'),
      'dl_first',
    ]);
    expect((await redis.hkeys(log)).toSorted()).toEqual(kept.toSorted());
    expect(await redis.exists(ring('pending'), keys.posts('wh_1'), keys.postsDue)).toBe(0);
  });

  it('goes some at a time, and by the next worker where one died between two steps', async () => {
    await tried(2_500);
    await posts.drop('wh_2');
    const dying = server.connect();
    const call = dying.call.bind(dying) as (...args: unknown[]) => Promise<unknown>;
    dying.call = (async (...args: unknown[]) => {
      const answer = await call(...args);
      dying.disconnect();
      return answer;
    }) as Redis['call'];
    await expect(openPosts(dying).drop('wh_1')).rejects.toThrow('Connection is closed');
    expect(await redis.zcard(ring('pending'))).toBe(1_500);
    expect((await posts.due(now, 10, longestWaitMs)).ids).toEqual(['wh_1']);
    await posts.drop('wh_1');
    expect([await redis.zcard(ring('failed')), await redis.hlen(log)]).toEqual([1_000, 1_000]);
  });
});

describe('the outcome of a try', () => {
  it('is written down once: not after the lease, and not by a repeat', async () => {
    await wait(1);
    const { parcels, leaseEnd } = await take();
    const again = settled(parcels[0] ?? '', leaseEnd, { status: 'pending', nextAt: now + 5_000, endpoint: 'down' });
    expect(await posts.settle('wh_1', again, now)).toBe(true);
    expect(await posts.settle('wh_1', again, now)).toBe(false);
    expect(await redis.hget(keys.health('wh_1'), 'failures')).toBe('1');
    const second = await take(single, now + 5_000);
    await take(single, now + 5_000 + leaseMs);
    expect(await posts.settle('wh_1', settled(parcels[0] ?? '', second.leaseEnd, {}), now)).toBe(false);
  });

  it('is remembered of the last thousand or so, and of answers the last two hundred', async () => {
    for (let round = 0; round < 30; round++) {
      await wait(50, round * 50);
      const { parcels, leaseEnd } = await take();
      const failed = { status: 'failed', answer: 'no', endpoint: null } as const;
      await Promise.all(parcels.map((parcel) => posts.settle('wh_1', settled(parcel, leaseEnd, failed), now + round)));
    }
    expect(await redis.zcard(keys.deliveriesBy('wh_1', 'failed'))).toBeLessThanOrEqual(1_100);
    expect(await redis.hlen(keys.deliveries('wh_1'))).toBe(await redis.zcard(keys.deliveriesBy('wh_1', 'failed')));
    expect(await redis.hlen(keys.answers('wh_1'))).toBe(200);
  });

  it('after five failures in a row lets one parcel out at a time, after its rest; a success lets all out again', async () => {
    await wait(10);
    const { parcels, leaseEnd } = await take(single, now, 5);
    const down = { status: 'pending', nextAt: now + 60_000, endpoint: 'down', restUntil: now + 2_000 } as const;
    for (const parcel of parcels) await posts.settle('wh_1', settled(parcel, leaseEnd, down), now);
    expect((await take(single, now + 1_999)).parcels).toEqual([]);
    const probe = await take(single, now + 2_000);
    expect(probe).toMatchObject({ parcels: [place(5)], health: { failures: 5, failingSince: now } });
    await posts.settle('wh_1', settled(place(5), probe.leaseEnd, {}), now + 2_000);
    expect((await take(single, now + 2_000)).parcels).toHaveLength(4);
  });
});

describe('a batch', () => {
  const batched = { id: 'wh_1', batch: { maxEvents: 4, maxWaitMs: 1_000 } };

  it('is full or has waited, is grouped when it is taken, and stays that group', async () => {
    await wait(6);
    const first = await take(batched);
    expect(first.parcels).toEqual([`batch:${[0, 1, 2, 3].map(place).join(',')}`]);
    expect(await posts.due(now, 1, longestWaitMs)).toMatchObject({ nextAt: now + 1_000 });
    const second = await take(batched, now + 1_000);
    expect(second.parcels).toEqual([`batch:${place(4)},${place(5)}`]);
    await wait(3, 6);
    const again = await take(batched, now + leaseMs);
    expect(again.parcels[0]).toEqual(first.parcels[0]);
    expect(again.parcels).toHaveLength(2);
  });

  it('that comes again does not wait for one that is not full', async () => {
    const slow = { id: 'wh_1', batch: { maxEvents: 4, maxWaitMs: 60_000 } };
    await wait(4);
    const { parcels, leaseEnd } = await take(slow);
    const again = { status: 'pending', nextAt: now + 5_000, endpoint: 'down' } as const;
    await posts.settle('wh_1', settled(parcels[0] ?? '', leaseEnd, again), now);
    await wait(1, 4);
    expect((await take(slow, now + 1)).parcels).toEqual([]);
    expect(await posts.due(now + 1, 1, longestWaitMs)).toMatchObject({ nextAt: now + 5_000 });
    expect((await take(slow, now + 5_000)).parcels).toEqual(parcels);
    await posts.settle('wh_1', settled(parcels[0] ?? '', now + 5_000 + leaseMs, {}), now + 5_000);
    expect((await take(slow, now + 60_000)).parcels).toEqual([`batch:${place(4)}`]);
  });

  it('is one of four in hand at most', async () => {
    await wait(100);
    expect((await take(batched)).parcels).toHaveLength(4);
    expect((await take(batched)).parcels).toEqual([]);
  });
});
