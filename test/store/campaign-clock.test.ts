/** A campaign goes on where the clock of Redis was put back by an hour: times that were written before are yet to come by then. */
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { type CampaignSlices, openCampaignSlices, type Take } from '../../src/store/campaign-slices.ts';
import { keys } from '../../src/store/keys.ts';
import { addCampaign } from '../support/campaigns.ts';
import { until } from '../support/until.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
let slices: CampaignSlices;
useTestRedis((server) => {
  redis = server.connect();
  slices = openCampaignSlices(redis);
});

const leaseMs = 60_000;
let takes = 0;
const look = (id: string) => slices.take(id, { id: `jb_${takes++}`, leaseMs, inHand: [] });

async function take(id: string): Promise<Take> {
  const taken = await look(id);
  if (!('slice' in taken)) throw new Error(`Nothing to take for ${taken.waitMs} ms`);
  return taken;
}

const ahead = () => Date.now() + 3_600_000;

it('a campaign that had its turn before has it again at once', async () => {
  const id = await addCampaign(redis, { recipients: 100 });
  await redis.zadd(keys.campaignsDue, ahead(), id);
  const { ids, at } = await slices.due();
  expect(ids).not.toContain(id);
  expect((await slices.due(at)).ids).not.toContain(id);
  expect((await slices.due(ahead())).ids).toContain(id);
});

it('a slice that was given back is taken at once', async () => {
  const id = await addCampaign(redis, { recipients: 100 });
  const [given] = [await take(id), await take(id)];
  await slices.release(given, { againInMs: 0, unused: 0 });
  await redis.zadd(keys.campaignSlices(id), ahead(), given.slice);
  expect((await take(id)).slice).toBe(given.slice);
});

/** The slice stands as its worker left it an hour ahead of now. */
async function holdAhead(id: string, { id: taken, slice, allowed }: Take, ms = leaseMs): Promise<void> {
  await redis.zadd(keys.campaignSlices(id), ahead() + ms, slice);
  await redis.hset(keys.campaignTakers(id), slice, `${taken} ${allowed} ${ahead()}`);
}

it('the lease of a worker starts again, so that another takes the slice once the lease ended without a renewal', async () => {
  const id = await addCampaign(redis, { recipients: 50 });
  const held = await take(id);
  await holdAhead(id, held);
  const { waitMs } = (await look(id)) as { waitMs: number };
  expect(waitMs).toBeGreaterThan(leaseMs / 2);
  expect(waitMs).toBeLessThanOrEqual(leaseMs);
  for (const lapsed of [false, true]) {
    expect((await redis.hget(keys.campaignTakers(id), String(held.slice)))?.endsWith(' lapsed')).toBe(lapsed);
    await redis.zadd(keys.campaignSlices(id), 1, held.slice);
    if (!lapsed) await look(id);
  }
  expect((await take(id)).slice).toBe(held.slice);
});

it('a worker keeps its slice from one whose leases are shorter', async () => {
  const id = await addCampaign(redis, { recipients: 50 });
  const longMs = 3_600_000;
  const held = await slices.take(id, { id: 'jb_long', leaseMs: longMs, inHand: [] });
  const { waitMs } = (await look(id)) as { waitMs: number };
  expect(waitMs).toBeGreaterThan(longMs / 2);
  expect(held).toMatchObject({ slice: 0 });
  expect(await redis.hget(keys.campaignTakers(id), '0')).toMatch(/^jb_long 50 \d+$/);
});

it('its pace is measured again from the start', async () => {
  const id = await addCampaign(redis, { recipients: 100 });
  await redis.hset(keys.campaign(id), 'pace', 50, 'paceAt', ahead(), 'paceLeft', 100, 'paceEnds', ahead());
  await take(id);
  const [pace, at] = await redis.hmget(keys.campaign(id), 'pace', 'paceAt');
  expect([pace, Number(at) < ahead() - 3_000_000]).toEqual(['50', true]);
});

it('its rate goes on at once', async () => {
  const id = await addCampaign(redis, { recipients: 100, head: { rate: { count: 600, windowMs: 60_000 } } });
  await redis.hset(keys.campaign(id), 'tokens', 0, 'tokensAt', ahead());
  expect(await look(id)).toEqual({ waitMs: expect.any(Number) });
  await until('more to be allowed', async () => 'slice' in (await look(id)));
});
