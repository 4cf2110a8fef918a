/** What campaigns need no more goes: who is in one once nobody can be added, and all of it once its time is over; a piece at a time, whoever stops or joins in between. */
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { type CampaignStatus, campaignStatuses } from '../../src/domain/campaign.ts';
import { makeRound, type Round, sweepCampaigns } from '../../src/pipeline/sweep-campaigns.ts';
import { markOf } from '../../src/store/campaign-addresses.ts';
import { removeCampaign } from '../../src/store/campaign-remove.ts';
import { type CampaignRetention, openCampaignRetention } from '../../src/store/campaign-retention.ts';
import { openCampaigns } from '../../src/store/campaigns.ts';
import { keys } from '../../src/store/keys.ts';
import { addCampaign, type NewCampaign, rowOf } from '../support/campaigns.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
let retention: CampaignRetention;
useTestRedis((server) => {
  redis = server.connect();
  retention = openCampaignRetention(redis);
});

/** One with the addresses of those who are in it. */
async function stored(given: NewCampaign): Promise<string> {
  const id = await addCampaign(redis, given);
  const marks = Array.from({ length: Number(given.recipients) }, (_, n) => markOf(id, rowOf(n).address));
  await Promise.all(marks.map(({ key, member }) => redis.sadd(key, member)));
  return id;
}

const keepMs = 7 * 86_400_000;

const addressSets = async (id: string) => (await redis.keys(`*${id}:addresses:*`)).length;

type Given = {
  /** Without it there is to be none. */
  readonly onTrouble?: (part: string, error: unknown) => void;
  readonly round?: Round;
  readonly now?: number;
  readonly by?: CampaignRetention;
  readonly stop?: AbortSignal;
};

function unexpected(part: string, error: unknown): void {
  throw new Error(part, { cause: error });
}

/** What one step of a worker does. @returns how many campaigns it removed */
async function pass(given: Given = {}): Promise<number> {
  const { round = makeRound(), now = Date.now(), by = retention, stop = new AbortController().signal } = given;
  const { onTrouble = unexpected } = given;
  let removed = 0;
  const report = ({ campaigns }: { readonly campaigns: number }) => {
    removed += campaigns;
  };
  await sweepCampaigns({ retention: by, keepMs, round, report, onTrouble, now: () => now }, stop);
  return removed;
}

/** A worker that is stopped as it has removed something for the first time. */
function passCutShort(now = Date.now()): Promise<number> {
  const stop = new AbortController();
  const cut = Object.create(redis);
  cut.unlink = async (...names: string[]) => {
    stop.abort();
    return redis.unlink(...names);
  };
  return pass({ by: openCampaignRetention(cut), stop: stop.signal, now });
}

it.each(campaignStatuses)('the addresses of one that is %s stay as long as recipients can be added', async (status) => {
  const id = await stored({ recipients: 30, status });
  const before = await addressSets(id);
  await pass();
  expect(await addressSets(id)).toBe(status === 'draft' || status === 'scheduled' ? before : 0);
  expect(await redis.exists(keys.campaign(id), keys.campaignMarks(id), keys.campaignChunk(id, 0))).toBe(3);
});

it('room is made in a full Redis: addresses of a running campaign and an ended campaign do not keep each other there', async () => {
  const running = await stored({ recipients: 30 });
  const ended = await stored({ recipients: 30, status: 'completed' });
  await redis.hset(keys.campaign(ended), { endedAt: 1, 'n:pending': 0 });
  await redis.config('SET', 'maxmemory', '1');
  try {
    await expect(redis.set('more', 1)).rejects.toThrow('OOM');
    expect(await pass()).toBe(1);
    expect(await redis.exists(keys.campaign(ended), keys.campaignChunk(ended, 0))).toBe(0);
    expect((await retention.page(null)).page).toMatchObject([{ id: running, hasAddresses: false }]);
  } finally {
    await redis.config('SET', 'maxmemory', '0');
  }
});

it('the next worker finishes what a stop cut short, and then stops', async () => {
  const id = await stored({ recipients: 400 });
  await passCutShort();
  expect(await addressSets(id)).toBeGreaterThan(0);
  await Promise.all([pass(), pass()]);
  expect(await addressSets(id)).toBe(0);
  expect((await retention.page(null)).page).toMatchObject([{ id, hasAddresses: false }]);
});

it('one that is removed meanwhile is not brought back', async () => {
  const id = await stored({ recipients: 1 });
  await redis.del(keys.campaign(id));
  await retention.dropAddresses(id, new AbortController().signal);
  expect(await redis.exists(keys.campaign(id))).toBe(0);
});

it('each step looks at some of many campaigns, and a round at all', async () => {
  const all = await Promise.all(Array.from({ length: 230 }, () => stored({ recipients: 1 })));
  const [first = '', middle = '', last = ''] = [0, 150, 229].map((n) => all.toSorted()[n]);
  const others = all.filter((id) => ![first, middle, last].includes(id));
  await Promise.all(others.map((id) => redis.hset(keys.campaign(id), 'closed', 1)));
  const round = makeRound();
  for (const left of [
    [0, 1, 1],
    [0, 0, 1],
    [0, 0, 0],
  ]) {
    await pass({ round });
    expect(await Promise.all([first, middle, last].map(addressSets))).toEqual(left);
  }
  expect(round).toEqual(makeRound());
});

/** One that ended, with everything that a campaign can have. */
async function ended(status: CampaignStatus, endedAt: number, fields: object = {}): Promise<string> {
  const id = await stored({ recipients: 1_200, status });
  await redis.hset(keys.campaign(id), { 'n:pending': 0, 'n:sent': 1_200, endedAt, ...fields });
  for (const chunk of [0, 1, 2]) await redis.rpush(keys.campaignOutcomes(id, chunk), 'what came of them');
  await redis.zadd(keys.campaignSlices(id), endedAt, 3);
  await redis.hset(keys.campaignTakers(id), 3, 'jb_1 0');
  await redis.hset(keys.campaignUploads(id), 'key', '{}');
  await redis.zadd(keys.campaignUploadTimes(id), endedAt, 'key');
  return id;
}

const everythingOf = async (id: string) => (await redis.keys(`*${id}*`)).length;
/** What is kept of a campaign once nobody can be added. */
const all = 1 + 1 + 3 + 3 + 4;

it.each(['completed', 'canceled'] as const)(
  'one that was %s goes when its time is over, with all it has',
  async (status) => {
    const id = await ended(status, 1_000);
    expect(await pass({ now: 1_000 + keepMs - 1 })).toBe(0);
    expect(await everythingOf(id)).toBe(all);
    expect(await pass({ now: 1_000 + keepMs })).toBe(1);
    expect(await redis.keys('*')).toEqual([]);
  },
);

it.each([
  ['one that was canceled and has somebody who is pending', 'canceled', { 'n:pending': 1 }],
  ['one that runs again', 'running', { 'n:pending': 1 }],
] as const)('%s stays', async (_, status, fields) => {
  const id = await ended(status, 1_000, fields);
  await redis.zadd(keys.campaignsDue, 1_000, id);
  expect(await pass({ now: 1_000 + 2 * keepMs })).toBe(0);
  expect(await everythingOf(id)).toBe(all);
  expect(await redis.zscore(keys.campaignsDue, id)).toBe('1000');
});

it('a campaign whose marks are gone is reported once, and can be canceled and removed; recipients that left it still get no mail', async () => {
  const id = await stored({ recipients: 30 });
  await redis.del(keys.campaignMarks(id));
  const troubles: unknown[] = [];
  const onTrouble = (...told: unknown[]) => troubles.push(told);
  const round = makeRound();
  for (let n = 0; n < 3; n++) await pass({ round, onTrouble });
  expect(troubles).toEqual([['campaign', expect.any(Error), { campaign: id }]]);
  const campaigns = openCampaigns(redis);
  expect(await campaigns.remove(id)).toBe('running');
  await campaigns.move(id, { move: 'cancel', changeId: 'ch_1', now: 1_000, at: null });
  expect(await campaigns.remove(id)).toBe('removed');
  await pass();
  expect(await redis.keys(`*${id}*`)).toEqual([keys.campaign(id)]);
  expect(await campaigns.get(id)).toBeNull();
  expect(await openCampaigns(redis).stopped(id)).toEqual({ kind: 'canceled' });
  expect(await redis.pttl(keys.campaign(id))).toBeGreaterThan(0);
});

it('one that was canceled and whose marks are gone goes in its time', async () => {
  const id = await ended('canceled', 1_000, { 'n:pending': 1 });
  await redis.del(keys.campaignMarks(id));
  const onTrouble = () => {};
  expect(await pass({ now: 1_000 + keepMs - 1, onTrouble })).toBe(0);
  expect(await pass({ now: 1_000 + keepMs, onTrouble })).toBe(1);
});

it('one that ended again since it was looked at is kept from then on', async () => {
  const id = await ended('completed', 2_000);
  expect(await retention.remove(id, 1_999)).toBe(false);
  expect(await retention.remove(id, 2_000)).toBe(true);
});

it('nothing of a removed campaign can be changed, and its remains are removed even if its worker stopped', async () => {
  const id = await ended('completed', 1_000);
  expect(await passCutShort(1_000 + keepMs)).toBe(1);
  expect(await redis.exists(keys.campaign(id), keys.campaignMarks(id))).toBe(0);
  expect(await redis.zcard(keys.campaigns)).toBe(0);
  expect(await everythingOf(id)).toBeGreaterThan(0);
  await Promise.all([pass(), pass()]);
  expect(await redis.keys('*')).toEqual([]);
});

it('removals make room in a full Redis', async () => {
  await ended('completed', 1_000);
  await redis.config('SET', 'maxmemory', '1');
  try {
    await expect(redis.set('more', 'x')).rejects.toThrow('OOM');
    expect(await pass({ now: 1_000 + keepMs })).toBe(1);
    expect(await redis.keys('*')).toEqual([]);
  } finally {
    await redis.config('SET', 'maxmemory', '0');
  }
});

it('one that cannot be removed is reported, and holds up no other', async () => {
  const all = await Promise.all([ended('completed', 1_000), ended('completed', 1_000), stored({ recipients: 30 })]);
  const [stuck = '', ...others] = all.toSorted();
  const by: CampaignRetention = {
    ...retention,
    remove: async (id, endedBefore) => id !== stuck && retention.remove(id, endedBefore),
    async dropAddresses(id, stop) {
      if (id === stuck) throw new Error('it cannot be removed');
      await retention.dropAddresses(id, stop);
    },
  };
  const troubles: unknown[] = [];
  const onTrouble = (...told: unknown[]) => troubles.push(told);
  await pass({ by, now: 1_000 + keepMs, onTrouble });
  expect(troubles).toEqual([['tidy', new Error('it cannot be removed')]]);
  expect(await Promise.all(others.map(addressSets))).toEqual([0, 0]);
});

it('drafts that are deleted as they are looked at are not reported as lost', async () => {
  const drafts = await Promise.all(Array.from({ length: 30 }, () => stored({ recipients: 1, status: 'draft' })));
  let left = drafts.length;
  async function removeAll() {
    for (const id of drafts) {
      await removeCampaign(redis, id, null);
      left -= 1;
    }
  }
  async function look() {
    while (left > 0) await pass();
  }
  await Promise.all([removeAll(), look()]);
});

it('a canceled campaign stays while one of its recipients is held and has still to end', async () => {
  const id = await addCampaign(redis, { status: 'canceled', recipients: 1 });
  await redis.hset(keys.campaign(id), { 'n:pending': 0, 'n:outcome_unknown': 1, endedAt: 1 });
  expect(await removeCampaign(redis, id, null)).toBe('canceled');
  await redis.hset(keys.campaign(id), { 'n:outcome_unknown': 0, 'n:canceled': 1 });
  expect(await removeCampaign(redis, id, null)).toBe('removed');
});
