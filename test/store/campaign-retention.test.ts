/** What campaigns need no more goes: who is in one once nobody can be added; a piece at a time, whoever dies or joins in between. */
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { campaignStatuses } from '../../src/domain/campaign.ts';
import { makeRound, tidy } from '../../src/pipeline/tidy.ts';
import { markOf } from '../../src/store/campaign-addresses.ts';
import { type CampaignRetention, openCampaignRetention } from '../../src/store/campaign-retention.ts';
import { keys } from '../../src/store/keys.ts';
import { addCampaign, type NewCampaign, rowOf } from '../support/campaigns.ts';
import { openTestRedis } from '../support/redis.ts';

const opened = new AsyncDisposableStack();
let redis: Redis;
let retention: CampaignRetention;
beforeAll(async () => {
  const server = opened.use(await openTestRedis());
  redis = opened.adopt(new Redis(server.url.slice('unix://'.length)), (client) => client.disconnect());
  retention = openCampaignRetention(redis);
});
beforeEach(() => redis.flushall());
afterAll(() => opened.disposeAsync());

/** One with the addresses of those who are in it. */
async function stored(given: NewCampaign): Promise<string> {
  const id = await addCampaign(redis, given);
  const marks = Array.from({ length: Number(given.recipients) }, (_, n) => markOf(id, rowOf(n).address));
  await Promise.all(marks.map(({ key, member }) => redis.sadd(key, member)));
  return id;
}

const addressSets = async (id: string) => (await redis.keys(`*${id}:addresses:*`)).length;

/** What one step of a worker does. */
async function pass(round = makeRound(), stop = new AbortController()): Promise<void> {
  await tidy({ retention, round }, stop.signal);
}

it.each(campaignStatuses)('the addresses of one that is %s stay as long as somebody can be added', async (status) => {
  const id = await stored({ recipients: 30, status });
  const before = await addressSets(id);
  await pass();
  expect(await addressSets(id)).toBe(status === 'draft' || status === 'scheduled' ? before : 0);
  expect(await redis.exists(keys.campaign(id), keys.campaignMarks(id), keys.campaignChunk(id, 0))).toBe(3);
});

it('what a stop cuts short is done by the next worker, and then no more', async () => {
  const id = await stored({ recipients: 400 });
  const stop = new AbortController();
  const unlink = redis.unlink.bind(redis);
  const cut = openCampaignRetention(
    Object.assign(Object.create(redis), {
      async unlink(...names: string[]) {
        stop.abort();
        return unlink(...names);
      },
    }),
  );
  await tidy({ retention: cut, round: makeRound() }, stop.signal);
  expect(await addressSets(id)).toBeGreaterThan(0);
  await Promise.all([pass(), pass()]);
  expect(await addressSets(id)).toBe(0);
  expect((await retention.page(null)).page).toEqual([{ id, status: 'running', hasAddresses: false }]);
});

it('one that is removed meanwhile is not brought back', async () => {
  const id = await stored({ recipients: 1 });
  await redis.del(keys.campaign(id));
  await retention.dropAddresses(id, new AbortController().signal);
  expect(await redis.exists(keys.campaign(id))).toBe(0);
});

it('of many campaigns some are looked at in each step, and all in a round', async () => {
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
    await pass(round);
    expect(await Promise.all([first, middle, last].map(addressSets))).toEqual(left);
  }
  expect(round).toEqual(makeRound());
});
