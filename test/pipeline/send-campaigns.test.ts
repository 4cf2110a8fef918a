/** send-campaigns: those that wait have their turns, and what is canceled is ended beside what is sent and hardly keeps it waiting. */
import { expect, it } from 'vitest';
import { sliceSize } from '../../src/domain/campaign.ts';
import { makeSlicesInHand, sendCampaigns } from '../../src/pipeline/send-campaigns.ts';
import type { Take } from '../../src/store/campaign-slices.ts';
import { keys } from '../../src/store/keys.ts';
import { addCampaign, moveCampaign } from '../support/campaigns.ts';
import { newId, storeOver, type TestStore } from '../support/store.ts';
import { until } from '../support/until.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: TestStore['redis'];
let store: TestStore['store'];
useTestRedis(async (server) => {
  redis = server.connect();
  store = await storeOver(redis);
});

function unused(): never {
  throw new Error('Nothing is in trouble here');
}

type Sending = Parameters<typeof sendCampaigns>[0]['sendSlice'];

/** A worker that keeps what it takes, unless `sendSlice` does something with it; and the statuses of what that was, in order. */
function startWorker(sendSlice: Sending = async (take) => ({ ...held, take })) {
  const { slices } = store;
  const taken: Take[] = [];
  const asked: string[] = [];
  const take: typeof slices.take = (id, taking) => {
    asked.push(id);
    return slices.take(id, taking);
  };
  const hands = makeSlicesInHand();
  const time = { now: 0 };
  const nudges: number[] = [];
  const deps = {
    ...{ slices: { ...slices, take }, room: { take: async () => () => {} }, hands },
    sendSlice: (...[take, onSent]: Parameters<Sending>) => {
      taken.push(take);
      return sendSlice(take, onSent);
    },
    ...{
      leaseMs: 60_000,
      nudge: { nudge: () => void nudges.push(time.now), wait: async () => {} },
      newId,
      now: () => time.now,
      onTrouble: unused,
      reportCampaign: unused,
    },
  };
  return { taken, asked, hands, time, nudges, round: () => sendCampaigns(deps, new AbortController().signal) };
}
const held = { settled: [], isHeldUp: false, waitsFor: new Set<string>(), ms: 0 };

const addLarge = () => addCampaign(redis, { recipients: 20 * sliceSize });

it('one slice of a canceled campaign is ended for every four that are sent of another', async () => {
  await moveCampaign(redis, await addLarge(), 'canceled');
  await addLarge();
  const { taken, round } = startWorker();
  for (let n = 0; n < 13; n++) await round();
  // What is canceled is found so by its first slice.
  const statuses = taken.map(({ status }) => status);
  expect(statuses.slice(0, 2).toSorted()).toEqual(['canceled', 'running']);
  const rest = statuses.slice(2);
  expect([rest.filter((status) => status === 'canceled').length, rest.length]).toEqual([3, 15]);
});

it('a canceled campaign gets every round while there is nothing to send', async () => {
  await moveCampaign(redis, await addLarge(), 'canceled');
  await moveCampaign(redis, await addLarge(), 'paused');
  const { taken, round } = startWorker();
  for (let n = 0; n < 6; n++) await round();
  expect(taken.map(({ status }) => status)).toEqual(Array(6).fill('canceled'));
});

it('a worker passes the time of its last look, so that a clock of Redis that was set back is noticed', async () => {
  const id = await addLarge();
  const { taken, hands, round } = startWorker();
  await round();
  await redis.zadd(keys.campaignsDue, hands.seenAt + 3_600_000, id);
  await round();
  expect(taken).toHaveLength(1);
  hands.seenAt += 3_600_000;
  await round();
  expect(taken).toHaveLength(2);
});

it('of campaigns that wait for a transport, the one whose turn is longest ago goes on once another sent something over it', async () => {
  const addSlice = () => addCampaign(redis, { recipients: sliceSize });
  const [busy, ...waiting] = [await addLarge(), await addSlice(), await addSlice()];
  let sendOfBusy = () => {};
  const giveBack = new Map<string, () => Promise<void>>();
  const { taken, hands, time, nudges, round } = startWorker((take, onSent) => {
    if (take.campaignId === busy) sendOfBusy = () => onSent('a');
    if (take.campaignId === busy) return new Promise(() => {});
    const { promise, resolve } = Promise.withResolvers<Awaited<ReturnType<Sending>>>();
    giveBack.set(take.campaignId, async () => {
      await store.slices.release(take, { againInMs: null, unused: 0, waitsFor: ['a'] });
      resolve({ ...held, take, waitsFor: new Set(['a']) });
    });
    return promise;
  });
  const takenOf = () => taken.splice(0).flatMap(({ campaignId: id }) => (id === busy ? [] : [id]));
  const [first = '', second = ''] = waiting;
  await round();
  for (const id of waiting) await giveBack.get(id)?.();
  await until('both to rest', () => waiting.every((id) => hands.rests.of(id, time.now).resting.length > 0));
  // Their rests end, and all they have is in hand: they are not due.
  time.now = 50;
  for (let n = 0; n < 3; n++) await round();
  expect(takenOf().toSorted()).toEqual([...waiting, ...waiting].toSorted());
  for (const id of [second, first]) await giveBack.get(id)?.();
  await until('both to rest', () => waiting.every((id) => hands.rests.of(id, time.now).resting.length > 0));
  await round();
  expect(takenOf()).toEqual([]);
  const before = nudges.length;
  sendOfBusy();
  expect(nudges).toHaveLength(before + 1);
  await round();
  expect(takenOf()).toEqual([first]);
});

it('a campaign that has only what rests left is not asked about again before a rest ends', async () => {
  await addCampaign(redis, { recipients: sliceSize });
  const { taken, asked, hands, time, round } = startWorker(async (take) => {
    await store.slices.release(take, { againInMs: null, unused: take.allowed, waitsFor: ['a'] });
    return { ...held, take, waitsFor: new Set(['a']) };
  });
  await round();
  await Promise.all(hands.slices.values());
  for (let n = 0; n < 5; n++) await round();
  expect([taken.length, asked.length]).toEqual([1, 2]);
  time.now = hands.rests.of(asked[0] ?? '', 0).leastMs;
  await round();
  await Promise.all(hands.slices.values());
  expect([taken.length, asked.length]).toEqual([2, 3]);
});

it('a campaign that waits for its own rate is not left alone until a transport has rested', async () => {
  const id = await addCampaign(redis, { recipients: sliceSize, head: { rate: { count: 1, windowMs: 60_000 } } });
  await redis.hset(keys.campaign(id), { tokens: 0, tokensAt: Date.now() });
  const { asked, hands, round } = startWorker();
  const seen = { hasSettled: false, asked: new Set<string>(), waitsFor: new Set(['a']) };
  hands.rests.learn({ campaignId: id, waitedFor: 'a' }, seen, 0);
  await round();
  expect(asked).toEqual([id]);
  expect(hands.rests.of(id, 0)).toMatchObject({ isWhole: false, resting: ['a'] });
});
