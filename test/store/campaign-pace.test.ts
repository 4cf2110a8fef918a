/** The pace of a campaign: what was settled lately, also where that is little, and only while it is measured. */
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { etaOf, sliceSize } from '../../src/domain/campaign.ts';
import { explainCampaign } from '../../src/domain/explain-campaign.ts';
import type { Rate } from '../../src/domain/rate.ts';
import { summaryOf } from '../../src/http/campaign-view.ts';
import { openCampaignSlices } from '../../src/store/campaign-slices.ts';
import { openCampaigns } from '../../src/store/campaigns.ts';
import { keys } from '../../src/store/keys.ts';
import { addCampaign } from '../support/campaigns.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
useTestRedis((server) => {
  redis = server.connect();
});

let takes = 0;
/** A worker looks at the campaign. */
const look = (id: string) =>
  openCampaignSlices(redis).take(id, { id: `jb_${takes++}`, leaseMs: 600_000, inHand: [], isOldOnly: true });

async function settle(id: string, count: number): Promise<void> {
  await redis.hincrby(keys.campaign(id), 'n:pending', -count);
}

/** So much time passes, as far as its pace is concerned. */
async function pass(id: string, ms: number): Promise<void> {
  for (const name of ['paceAt', 'paceEnds']) await redis.hincrby(keys.campaign(id), name, -ms);
}

async function read(id: string) {
  const campaign = await openCampaigns(redis).get(id);
  if (campaign === null) throw new Error('It is gone');
  return campaign;
}
const stateOf = async (id: string) => (await read(id)).state;

async function addRated(rate: Rate | null): Promise<string> {
  const id = await addCampaign(redis, { recipients: 10 * sliceSize, head: { rate } });
  await look(id);
  return id;
}

it.each([
  ['2 a minute', { count: 2, windowMs: 60_000 }],
  ['100 an hour', { count: 100, windowMs: 3_600_000 }],
  ['500 an hour', { count: 500, windowMs: 3_600_000 }],
])('a campaign that may send %s has its pace, and is done accordingly', async (_, rate) => {
  const id = await addRated(rate);
  const gapMs = rate.windowMs / rate.count;
  await settle(id, 1);
  await pass(id, gapMs / 2);
  await look(id);
  expect((await stateOf(id)).pace).toBeNull();
  await pass(id, gapMs / 2);
  await look(id);
  const state = await stateOf(id);
  expect((state.pace ?? 0) * gapMs).toBeGreaterThan(900);
  expect((state.pace ?? 0) * gapMs).toBeLessThanOrEqual(1_000);
  expect(etaOf(state, 0)).toBeGreaterThanOrEqual(state.counts.pending * gapMs);
});

it('a pace that no worker has measured for a while is not told, and the time without a worker does not count', async () => {
  const id = await addRated(null);
  await settle(id, 40);
  await pass(id, 4_000);
  await look(id);
  expect((await stateOf(id)).pace).toBeGreaterThan(5);
  await pass(id, 60_000);
  expect(await stateOf(id)).toMatchObject({ status: 'running', pace: null });
  await look(id);
  expect((await stateOf(id)).pace).toBeNull();
  await settle(id, 40);
  await pass(id, 4_000);
  await look(id);
  expect((await stateOf(id)).pace).toBeGreaterThan(5);
});

it('is shown in three digits, and its end follows from the exact one', async () => {
  const { head, state } = await read(await addRated(null));
  const slow = { head, state: { ...state, pace: 1 / 36 } };
  expect(summaryOf(slow, 0)).toMatchObject({ pace: 0.0278, eta: '1970-01-01T05:00:00.000Z' });
  expect(explainCampaign(slow).summary).toContain('At 0.0278 a second that takes 18000 s');
});
