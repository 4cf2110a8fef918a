/** How much waits in the store and since when: what is due, taken or parked, but nothing that is for later. */
import type { Redis } from 'ioredis';
import { beforeEach, describe, expect, it } from 'vitest';
import { openBudgets } from '../../src/store/budgets.ts';
import { openCampaignSlices, type Take } from '../../src/store/campaign-slices.ts';
import { openCampaigns } from '../../src/store/campaigns.ts';
import { openDue } from '../../src/store/due.ts';
import { keys } from '../../src/store/keys.ts';
import { openLevels, type StoredLevels } from '../../src/store/levels.ts';
import { openOutbox } from '../../src/store/outbox.ts';
import { addCampaign, leaveSlices } from '../support/campaigns.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
let levels: StoredLevels;
let connectAgain: () => Redis;
useTestRedis((server) => {
  connectAgain = () => server.connect();
  redis = connectAgain();
  levels = openLevels(redis);
});

const leaseMs = 1_000;
const bulkAt = async (now: number) => (await levels.read(['a'], leaseMs, now)).lanes.bulk;

it('while nothing waits there is no oldest', async () => {
  expect(await levels.read(['a'], leaseMs, 40)).toEqual({
    lanes: { transactional: { waiting: 0, oldestAt: null }, bulk: { waiting: 0, oldestAt: null } },
    parked: [{ transactional: 0, bulk: 0 }],
    unnotified: null,
    posts: { waiting: 0, oldestAt: null },
    campaigns: { waiting: 0, oldestAt: null },
  });
});

describe('what waits for endpoints', () => {
  const postsAt = async (now: number) => (await levels.read([], leaseMs, now)).posts;
  beforeEach(() => redis.zadd(keys.postsDue, 20, 'wh_a', 20, 'wh_b'));

  it('is counted over all of them, since when one has been due', async () => {
    await redis.zadd(keys.posts('wh_a'), 30, '29-0');
    await redis.zadd(keys.posts('wh_b'), 20, '19-0', 35, '34-0');
    await redis.zadd(keys.posts('wh_gone'), 1, '1-0');
    expect(await postsAt(40)).toEqual({ waiting: 3, oldestAt: 20 });
  });

  it('a post that failed waits since its event happened, also between its tries', async () => {
    await redis.zadd(keys.posts('wh_a'), 900, '20-0', 800, 'batch:25-0,26-0');
    await redis.zadd(keys.posts('wh_b'), 30, '29-0');
    expect(await postsAt(40)).toEqual({ waiting: 3, oldestAt: 20 });
    await redis.zrem(keys.posts('wh_a'), '20-0');
    expect(await postsAt(40)).toEqual({ waiting: 2, oldestAt: 25 });
  });

  it('a post in hand waits for as long as its endpoint has failed, not since its event: it may be a replay', async () => {
    await redis.zadd(keys.posts('wh_a'), 80, '1-0');
    await redis.zadd(keys.posting('wh_a'), 80, '1-0');
    expect(await postsAt(40)).toEqual({ waiting: 1, oldestAt: null });
    await redis.hset(keys.health('wh_a'), 'failingSince', 15);
    expect(await postsAt(40)).toEqual({ waiting: 1, oldestAt: 15 });
  });

  it('an endpoint that nothing waits for is not asked about', async () => {
    await redis.hset(keys.webhooks, Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`wh_${n}`, '{}'])));
    await redis.config('RESETSTAT');
    await postsAt(40);
    const calls = /cmdstat_zrangebyscore:calls=(\d+)/.exec(await redis.info('commandstats'))?.[1];
    expect(Number(calls)).toBe(2);
  });

  it('nothing is old if an endpoint that failed has no events waiting', async () => {
    await redis.hset(keys.health('wh_a'), 'failingSince', 15);
    expect(await postsAt(40)).toEqual({ waiting: 0, oldestAt: null });
  });
});

it('the oldest is the one that has been due longest, new or come again, and each lane has its own', async () => {
  await redis.zadd(keys.due('bulk'), 20, 'a');
  await redis.zadd(keys.again('bulk'), 10, 'b');
  await redis.zadd(keys.due('transactional'), 30, 'c');
  const { lanes } = await levels.read([], leaseMs, 40);
  expect(lanes).toEqual({
    transactional: { waiting: 1, oldestAt: 30 },
    bulk: { waiting: 2, oldestAt: 10 },
  });
});

it('mail scheduled for later neither waits nor is old, and mail deferred to later only waits', async () => {
  await redis.zadd(keys.due('bulk'), 50, 'scheduled');
  expect(await bulkAt(40)).toEqual({ waiting: 0, oldestAt: null });
  await redis.zadd(keys.again('bulk'), 50, 'deferred');
  expect(await bulkAt(40)).toEqual({ waiting: 1, oldestAt: null });
});

it('mail that a feeder has taken waits since then', async () => {
  await redis.zadd(keys.due('bulk'), 10, 'a', 20, 'b');
  const before = Date.now();
  await openDue(redis).take('bulk', 'take', leaseMs, 10, before);
  const { waiting, oldestAt } = await bulkAt(before + 60_000);
  expect(waiting).toBe(2);
  expect(oldestAt).toBeGreaterThanOrEqual(before);
});

it('parked mail has waited since it was due, unless it was canceled', async () => {
  const emails = [10, 20].map((dueAt) => ({ id: `em_${dueAt}`, lane: 'bulk' as const, dueAt, endsAt: 9_000 }));
  await openBudgets(redis).park('a', emails, 30);
  const read = await levels.read(['b', 'a'], leaseMs, 40);
  expect(read.lanes.bulk).toEqual({ waiting: 2, oldestAt: 10 });
  expect(read.parked).toEqual([
    { transactional: 0, bulk: 0 },
    { transactional: 0, bulk: 2 },
  ]);
  await redis.zrem(keys.again('bulk'), 'em_10');
  expect((await levels.read(['b', 'a'], leaseMs, 40)).lanes.bulk).toEqual({ waiting: 1, oldestAt: 20 });
});

it('an event counts until it is acknowledged', async () => {
  const unnotified = async () => (await levels.read([], leaseMs, 40)).unnotified;
  await using outbox = await openOutbox(redis, connectAgain(), 'w', 60_000);
  await redis.xadd(keys.outbox, '*', 'event', '{}');
  await redis.xadd(keys.outbox, '*', 'event', '{}');
  const stop = new AbortController().signal;
  expect(await unnotified()).toBe(2);
  const taken = await outbox.next(1, stop);
  expect(await unnotified()).toBe(2);
  await outbox.acknowledge(taken);
  expect(await unnotified()).toBe(1);
});

describe('campaigns', () => {
  const standing = async () => (await levels.read([], leaseMs, Date.now())).campaigns;
  const startOf = async (id: string) => Number(await redis.hget(keys.campaign(id), 'startedAt'));
  const takeFrom = (id: string) =>
    openCampaignSlices(redis).take(id, { id: 'jb_1', leaseMs: 60_000, inHand: [] }) as Promise<Take>;

  it('a campaign that no worker sends waits with all its recipients since its start', async () => {
    const id = await addCampaign(redis, { recipients: 120 });
    expect(await standing()).toEqual({ waiting: 120, oldestAt: await startOf(id) });
  });

  it('a campaign that moves has waited since a slice with settled recipients was last released', async () => {
    const id = await addCampaign(redis, { recipients: 120 });
    const slices = openCampaignSlices(redis);
    await redis.hset(keys.campaign(id), 'startedAt', 1_000);
    await slices.release(await takeFrom(id), { againInMs: 0, unused: 50 });
    expect(await standing()).toEqual({ waiting: 120, oldestAt: 1_000 });
    const before = Date.now();
    await slices.release(await takeFrom(id), { againInMs: null, unused: 0, settled: 3 });
    expect((await standing()).oldestAt).toBeGreaterThanOrEqual(before);
  });

  it('settled recipients wait no longer, nor do those that left; those in the hands of a dead worker do', async () => {
    const id = await addCampaign(redis, { recipients: 120 });
    const slices = openCampaignSlices(redis);
    const taken = await takeFrom(id);
    expect((await standing()).waiting).toBe(120);
    await redis.setrange(keys.campaignMarks(id), 0, 's'.repeat(30) + 'l'.repeat(20));
    await redis.hincrby(keys.campaign(id), 'n:pending', -30);
    await slices.release(taken, { againInMs: null, unused: 0, settled: 50 });
    expect((await standing()).waiting).toBe(70);
    await takeFrom(id);
    await leaveSlices(redis, id);
    expect((await standing()).waiting).toBe(70);
    await redis.hset(keys.campaign(id), 'n:pending', 5);
    expect((await standing()).waiting).toBe(5);
  });

  it('its own rate holds it back for as long as that takes, and then it waits', async () => {
    const rate = { count: 5, windowMs: 86_400_000 };
    const id = await addCampaign(redis, { recipients: 9, head: { rate } });
    const everyMs = rate.windowMs / rate.count;
    const movedAt = Date.now() - 1_000;
    await redis.hset(keys.campaign(id), 'movedAt', movedAt);
    expect(await standing()).toEqual({ waiting: 9, oldestAt: null });
    await redis.hset(keys.campaign(id), 'movedAt', movedAt - everyMs);
    expect(await standing()).toEqual({ waiting: 9, oldestAt: movedAt });
  });

  it('one that is paused or scheduled for later does not wait, and what was paused waits from when it is resumed', async () => {
    const id = await addCampaign(redis, { recipients: 9 });
    await redis.hset(keys.campaign(id), 'startedAt', 1_000);
    const campaigns = openCampaigns(redis);
    const move = (move: 'pause' | 'resume', now: number) => campaigns.move(id, { move, changeId: move, now, at: null });
    await move('pause', 2_000);
    await addCampaign(redis, { recipients: 9, status: 'scheduled', scheduledAt: Date.now() + 60_000 });
    expect(await standing()).toEqual({ waiting: 0, oldestAt: null });
    await move('resume', 3_000);
    expect(await standing()).toEqual({ waiting: 9, oldestAt: 3_000 });
  });

  it('one whose time has come while no worker was there to start it waits since then', async () => {
    await addCampaign(redis, { recipients: 9, status: 'scheduled', scheduledAt: 5_000 });
    expect(await standing()).toEqual({ waiting: 9, oldestAt: 5_000 });
  });
});
