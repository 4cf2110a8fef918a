/** Slices of a campaign that are set aside for transports: who asks for another transport does not get them, and none is lost. */
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { sliceSize } from '../../src/domain/campaign.ts';
import { type CampaignSlices, openCampaignSlices, type Take } from '../../src/store/campaign-slices.ts';
import { addCampaign, leaveSlices, moveCampaign } from '../support/campaigns.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
let slices: CampaignSlices;
useTestRedis((server) => {
  redis = server.connect();
  slices = openCampaignSlices(redis);
});

let takes = 0;
type Left = { readonly resting?: string[]; readonly isOldOnly?: boolean };
const look = (id: string, left: Left = {}) =>
  slices.take(id, { id: `jb_${takes++}`, leaseMs: 600_000, inHand: [], ...left });

async function take(id: string, left?: Left): Promise<Take> {
  const taken = await look(id, left);
  if (!('slice' in taken)) throw new Error(`Nothing to take for ${taken.waitMs} ms`);
  return taken;
}

/** Its first slices, each set aside for these transports. */
async function addAside(...waits: readonly (readonly string[])[]): Promise<string> {
  const id = await addCampaign(redis, { recipients: waits.length * sliceSize });
  const taken = [];
  for (const _ of waits) taken.push(await take(id));
  for (const one of taken)
    await slices.release(one, { againInMs: null, unused: one.allowed, waitsFor: waits[one.slice] ?? [] });
  return id;
}

it('a slice is taken for a transport that it waits for; as long as it is in hand, its hold tells for which it was set aside', async () => {
  const id = await addAside(['a', 'c'], ['a-b'], ['a']);
  expect(await slices.setAside(id, 0)).toEqual({ all: ['a-b', 'a', 'c'], ofSlice: ['a', 'c'] });
  expect(await take(id, { resting: ['a', 'a-b'] })).toMatchObject({ slice: 0, waitedFor: 'c', allowed: sliceSize });
  expect(await slices.setAside(id, 0)).toEqual({ all: ['a-b', 'a', 'c'], ofSlice: ['c', 'a'] });
  expect(await slices.setAside(id, null)).toEqual({ all: ['a-b', 'a', 'c'], ofSlice: [] });
  expect(await take(id, { resting: ['a-b'] })).toMatchObject({ slice: 2, waitedFor: 'a' });
  expect(await take(id)).toMatchObject({ slice: 1, waitedFor: 'a-b' });
});

it('a slice that is taken and set aside again while one looks is told of all the same', async () => {
  const id = await addAside(['a']);
  let taken: Take | null = null;
  const change = async () => {
    if (taken === null) taken = await take(id);
    else
      taken = await slices.release(taken, { againInMs: null, unused: taken.allowed, waitsFor: ['a'] }).then(() => null);
  };
  const changing = new Proxy(redis, {
    get(target, name) {
      const own = Reflect.get(target, name);
      return typeof own !== 'function' ? own : (...args: unknown[]) => change().then(() => own.apply(target, args));
    },
  });
  for (const _ of [1, 2]) {
    expect(await openCampaignSlices(changing).setAside(id, 0)).toEqual({ all: ['a'], ofSlice: ['a'] });
    await change();
  }
});

it('a take that is repeated, as its answer was lost, is told again what it was set aside for; and so is one after a renewal', async () => {
  const id = await addAside(['b', 'a']);
  const taking = { id: 'jb_lost', leaseMs: 600_000, inHand: [], resting: ['a'] };
  const first = await slices.take(id, taking);
  expect(first).toMatchObject({ slice: 0, waitedFor: 'b' });
  expect(await slices.take(id, taking)).toEqual(first);
  if ('slice' in first) await slices.renew([first], 600_000);
  expect(await slices.take(id, taking)).toEqual(first);
});

it('who leaves all that waits, or new slices, leaves the campaign due for others', async () => {
  const id = await addAside(['a'], ['b']);
  expect(await look(id, { resting: ['a', 'b'] })).toEqual({ waitMs: null });
  expect((await slices.due()).ids).toContain(id);
  const fresh = await addCampaign(redis, { recipients: 10 });
  expect(await look(fresh, { isOldOnly: true })).toEqual({ waitMs: null });
  expect((await slices.due()).ids).toContain(fresh);
  expect(await take(fresh)).toMatchObject({ slice: 0, waitedFor: null });
});

it("a slice that was set aside is another worker's once the worker that took it dies", async () => {
  const id = await addAside(['a']);
  await take(id);
  await leaveSlices(redis, id);
  expect(await take(id, { resting: ['a'], isOldOnly: true })).toMatchObject({ slice: 0 });
});

it('a canceled campaign ends the recipients that wait as well', async () => {
  const id = await addAside(['a'], ['b']);
  await moveCampaign(redis, id, 'canceled');
  expect([(await take(id)).slice, (await take(id)).slice]).toEqual([0, 1]);
  expect(await slices.setAside(id, 0)).toEqual({ all: [], ofSlice: [] });
});

it('a slice that is released after its campaign was canceled is taken again, not set aside', async () => {
  const id = await addCampaign(redis, { recipients: 10 });
  const taken = await take(id);
  await moveCampaign(redis, id, 'canceled');
  await slices.release(taken, { againInMs: null, unused: 0, waitsFor: ['a'] });
  expect(await take(id)).toMatchObject({ slice: 0, status: 'canceled' });
});
