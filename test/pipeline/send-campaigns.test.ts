/** send-campaigns: what is canceled is ended beside what is sent, and hardly keeps it waiting. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { sliceSize } from '../../src/domain/campaign.ts';
import { makeSlicesInHand, sendCampaigns } from '../../src/pipeline/send-campaigns.ts';
import type { Take } from '../../src/store/campaign-slices.ts';
import { keys } from '../../src/store/keys.ts';
import { addCampaign, moveCampaign } from '../support/campaigns.ts';
import { newId, openTestStore, type TestStore } from '../support/store.ts';

let world: TestStore;
beforeAll(async () => {
  world = await openTestStore();
});
afterAll(() => world[Symbol.asyncDispose]());
beforeEach(() => world.redis.flushall());

function unused(): never {
  throw new Error('Nothing is in trouble here');
}

/** A worker that keeps what it takes, or sets it aside, and the statuses of what that was, in order. */
function startWorker(waitsFor: readonly string[] = []) {
  const { slices } = world.store;
  const taken: Take['status'][] = [];
  const clock = { now: 0 };
  const asked: string[] = [];
  const sendSlice = async (take: Take) => {
    taken.push(take.status);
    if (waitsFor.length > 0) await slices.release(take, null, take.allowed, 0, waitsFor);
    return { take, settled: [], isHeldUp: false, waitsFor: new Set(waitsFor), ms: 0 };
  };
  const take: typeof slices.take = (id, taking) => {
    asked.push(id);
    return slices.take(id, taking);
  };
  const hands = makeSlicesInHand();
  const deps = {
    ...{ slices: { ...slices, take }, sendSlice, room: { take: async () => () => {} }, hands },
    ...{
      leaseMs: 60_000,
      nudge: { nudge() {}, wait: async () => {} },
      newId,
      now: () => clock.now,
      onTrouble: unused,
      reportCampaign: unused,
    },
  };
  return { taken, asked, hands, clock, round: () => sendCampaigns(deps, new AbortController().signal) };
}

const addLarge = () => addCampaign(world.redis, { recipients: 20 * sliceSize });

it('one slice of a canceled campaign is ended for every four that are sent of another', async () => {
  await moveCampaign(world.redis, await addLarge(), 'canceled');
  await addLarge();
  const { taken, round } = startWorker();
  for (let n = 0; n < 13; n++) await round();
  // What is canceled is found so by its first slice.
  expect(taken.slice(0, 2).toSorted()).toEqual(['canceled', 'running']);
  const rest = taken.slice(2);
  expect([rest.filter((status) => status === 'canceled').length, rest.length]).toEqual([3, 15]);
});

it('a canceled campaign gets every round while there is nothing to send', async () => {
  await moveCampaign(world.redis, await addLarge(), 'canceled');
  await moveCampaign(world.redis, await addLarge(), 'paused');
  const { taken, round } = startWorker();
  for (let n = 0; n < 6; n++) await round();
  expect(taken).toEqual(Array(6).fill('canceled'));
});

it('a worker passes the time of its last look, so that a clock of Redis that was set back is noticed', async () => {
  const id = await addLarge();
  const { taken, hands, round } = startWorker();
  await round();
  await world.redis.zadd(keys.campaignsDue, hands.seenAt + 3_600_000, id);
  await round();
  expect(taken).toHaveLength(1);
  hands.seenAt += 3_600_000;
  await round();
  expect(taken).toHaveLength(2);
});

it('a campaign that has only what rests left is not asked about again before a rest ends', async () => {
  await addCampaign(world.redis, { recipients: sliceSize });
  const { taken, asked, hands, clock, round } = startWorker(['a']);
  await round();
  await Promise.all(hands.slices.values());
  for (let n = 0; n < 5; n++) await round();
  expect([taken.length, asked.length]).toEqual([1, 2]);
  clock.now = hands.rests.of(asked[0] ?? '', 0).leastMs;
  await round();
  await Promise.all(hands.slices.values());
  expect([taken.length, asked.length]).toEqual([2, 3]);
});

it('a campaign that waits for its own rate is not left alone until a transport has rested', async () => {
  const id = await addCampaign(world.redis, { recipients: sliceSize, head: { rate: { count: 1, windowMs: 60_000 } } });
  await world.redis.hset(keys.campaign(id), { tokens: 0, tokensAt: Date.now() });
  const { asked, hands, round } = startWorker();
  const seen = { hasSettled: false, asked: new Set<string>(), waitsFor: new Set(['a']) };
  hands.rests.learn({ campaignId: id, waitedFor: 'a' }, seen, 0);
  await round();
  expect(asked).toEqual([id]);
  expect(hands.rests.of(id, 0)).toMatchObject({ isWhole: false, resting: ['a'] });
});
