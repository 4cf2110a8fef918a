/** The places of a campaign: whoever takes a slice has it alone, nothing is skipped, and what was answered once is answered so again. */
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { placeMarks, sliceSize } from '../../src/domain/campaign.ts';
import type { PlaceOutcome } from '../../src/domain/campaign-email.ts';
import type { PlaceSettled } from '../../src/store/campaign-settle.ts';
import { type CampaignSlices, openCampaignSlices, type Rest, type Take } from '../../src/store/campaign-slices.ts';
import { keys } from '../../src/store/keys.ts';
import { addCampaign, endLeases, eventsIn, leaveSlices, moveCampaign, standingOf } from '../support/campaigns.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
let slices: CampaignSlices;
useTestRedis((server) => {
  redis = server.connect();
  slices = openCampaignSlices(redis);
});

/** As long as a test may take: it ends leases itself. */
const leaseMs = 600_000;
let takes = 0;

const look = (id: string, inHand: readonly Take[] = [], name = `jb_${takes++}`) =>
  slices.take(id, { id: name, leaseMs, inHand: inHand.map((taken) => taken.id) });

async function take(id: string): Promise<Take> {
  const taken = await look(id);
  if (!('slice' in taken)) throw new Error(`Nothing to take for ${taken.waitMs} ms`);
  return taken;
}

function outcomeOf(place: number): PlaceOutcome {
  return { place, at: 1, attempts: 1, transport: 't', reply: '250 ok', reason: null, trace: null };
}

function settled(campaignId: string, place: number, more: Partial<PlaceSettled> = {}): PlaceSettled {
  const outcome = outcomeOf(place);
  return { campaignId, from: 'handing', to: 'sent', outcome, events: [], suppressions: [], ...more };
}

async function sendAll(taken: Take): Promise<void> {
  const places = placesOf(taken);
  for (const answer of await Promise.all(places.map((place) => slices.claim(taken, place)))) expect(answer).toBe(true);
  await Promise.all(places.map((place) => slices.settle(settled(taken.campaignId, place), Date.now())));
  await slices.release(taken, { againInMs: null, unused: 0 });
}

async function eventsOf(id: string): Promise<string[]> {
  const events = await eventsIn(redis);
  return events.flatMap((event) =>
    !('emailId' in event) && 'campaignId' in event && event.campaignId === id ? [event.type] : [],
  );
}

const placesOf = ({ slice, marks }: Take) =>
  marks.flatMap((mark, n) => (mark === 'queued' ? [slice * sliceSize + n] : []));

it('every slice is taken once, and the worker that settles the last place completes the campaign', async () => {
  const id = await addCampaign(redis, { recipients: 120 });
  const three = [await take(id), await take(id), await take(id)];
  expect(three.map(({ slice }) => slice)).toEqual([0, 1, 2]);
  expect(three.map(({ allowed }) => allowed)).toEqual([50, 50, 20]);
  await Promise.all(three.map(sendAll));
  expect(await standingOf(redis, id)).toMatchObject({ status: 'completed', counts: { pending: 0, sent: 120 } });
  expect((await slices.due()).ids).not.toContain(id);
});

it('the worker that starts a scheduled campaign learns its number of recipients, once', async () => {
  const id = await addCampaign(redis, { recipients: 60, status: 'scheduled', scheduledAt: Date.now() - 1 });
  expect(await look(id, [], 'jb_first')).toMatchObject({ slice: 0, started: 60 });
  expect(await look(id, [], 'jb_first')).not.toHaveProperty('started');
  expect(await look(id)).not.toHaveProperty('started');
  const none = await addCampaign(redis, { recipients: 2, status: 'scheduled', scheduledAt: Date.now() - 1 });
  await redis.hset(keys.campaign(none), 'n:pending', 0);
  expect(await look(none)).toEqual({ waitMs: null, started: 2 });
});

it('a command that is sent again changes nothing and is answered as it was', async () => {
  const id = await addCampaign(redis, { recipients: 60, head: { rate: { count: 60, windowMs: 1_000 } } });
  const now = Date.now();
  const first = await look(id, [], 'jb_again');
  expect(await look(id, [], 'jb_again')).toEqual(first);
  const taken = first as Take;
  expect([await slices.claim(taken, 3), await slices.claim(taken, 3)]).toEqual([true, true]);
  expect(await slices.settle(settled(id, 3), now)).toBe(true);
  expect(await slices.settle(settled(id, 3), now)).toBe(true);
  await slices.release(taken, { againInMs: 0, unused: 5 });
  await slices.release(taken, { againInMs: 0, unused: 5 });
  expect((await standingOf(redis, id)).counts).toMatchObject({ pending: 59, sent: 1 });
  expect(await redis.llen(keys.campaignOutcomes(id, 0))).toBe(1);
  expect(Number(await redis.hget(keys.campaign(id), 'tokens'))).toBe(15);
});

it('a slice not renewed for a while after its lease ended is taken by another worker, and the first may neither send nor settle any more', async () => {
  const id = await addCampaign(redis, { recipients: 50 });
  const late = await take(id);
  await slices.claim(late, 0);
  expect(await look(id)).toEqual({ waitMs: expect.any(Number) });
  await endLeases(redis, id);
  expect(await look(id)).toEqual({ waitMs: expect.any(Number) });
  expect(await slices.claim(late, 49)).toBe(true);
  await endLeases(redis, id);
  const next = await take(id);
  expect([next.slice, next.marks[0], next.allowed]).toEqual([0, 'handing', 48]);
  expect(await slices.claim(late, 1)).toBe(false);
  expect((await standingOf(redis, id)).marks[1]).toBe('queued');
  expect(await slices.claim(next, 1)).toBe(true);
  expect(await slices.settle(settled(id, 1, { from: 'queued', to: 'suppressed' }), Date.now())).toBe(false);
  await slices.release(late, { againInMs: null, unused: 0 });
  expect(await slices.claim(next, 2)).toBe(true);
});

it('a lease that ended and is renewed before it is looked at again is valid again', async () => {
  const id = await addCampaign(redis, { recipients: 50 });
  const taken = await take(id);
  for (const _ of [1, 2, 3]) {
    await endLeases(redis, id);
    expect(await look(id)).toMatchObject({ waitMs: expect.any(Number) });
    await slices.renew([taken], leaseMs);
    const { waitMs } = (await look(id)) as Rest;
    expect(waitMs).toBeGreaterThan(leaseMs / 2);
  }
  expect(await slices.claim(taken, 0)).toBe(true);
});

it('a worker does not take its own slices: the take renews them', async () => {
  const id = await addCampaign(redis, { recipients: 50 });
  const taken = await take(id);
  await leaveSlices(redis, id);
  const { waitMs } = (await look(id, [taken])) as Rest;
  expect(waitMs).toBeGreaterThan(leaseMs / 2);
  await endLeases(redis, id);
  expect(await look(id)).toMatchObject({ waitMs: expect.any(Number) });
  expect(await slices.claim(taken, 0)).toBe(true);
});

it('each campaign has its turn, also of more than are looked at in one step', async () => {
  await redis.del(keys.campaignsDue);
  const early = await addCampaign(redis, { recipients: 200 });
  const [dueAt] = await Promise.all([redis.zscore(keys.campaignsDue, early)]);
  const others = Array.from({ length: 1_000 }, (_, n) => [dueAt ?? 0, `cp_${n}`]).flat();
  const late = await addCampaign(redis, { recipients: 200 });
  await redis.zadd(keys.campaignsDue, ...others, Number(dueAt) - 1, early, Number(dueAt) - 2, late);
  const first = (await slices.due()).ids;
  expect([first.length, first[0], first[1]]).toEqual([1_000, late, early]);
  await Promise.all([take(late), take(early)]);
  const second = (await slices.due()).ids;
  expect([second.length, second.includes(late), second.includes(early)]).toEqual([1_000, false, false]);
  await redis.del(keys.campaignsDue);
});

it('among places settled together, those that another worker settled before are refused, and the rest is written', async () => {
  const id = await addCampaign(redis, { recipients: 50 });
  const taken = await take(id);
  await Promise.all([0, 1, 2].map((place) => slices.claim(taken, place)));
  await slices.settle(settled(id, 1, { to: 'bounced' }), Date.now());
  const all = await Promise.all([0, 1, 2].map((place) => slices.settle(settled(id, place), Date.now())));
  expect(all).toEqual([true, false, true]);
  expect((await standingOf(redis, id)).counts).toMatchObject({ pending: 47, sent: 2, bounced: 1 });
});

it('places without a recipient are passed over, and so are slices that have none', async () => {
  const absent = [0, ...Array.from({ length: 100 }, (_, n) => 50 + n)];
  const id = await addCampaign(redis, { recipients: 160, absent });
  const first = await take(id);
  expect([first.marks[0], first.allowed]).toEqual(['absent', 49]);
  expect((await take(id)).slice).toBe(3);
});

it('a paused campaign gives no slice, lets no message leave, and continues where it was', async () => {
  const id = await addCampaign(redis, { recipients: 100 });
  const taken = await take(id);
  await slices.claim(taken, 0);
  await moveCampaign(redis, id, 'paused');
  expect(await slices.claim(taken, 1)).toBe(false);
  expect(await look(id)).toEqual({ waitMs: null });
  await slices.settle(settled(id, 0), Date.now());
  await slices.release(taken, { againInMs: 0, unused: 0 });
  await moveCampaign(redis, id, 'running');
  const again = await take(id);
  expect([again.slice, again.marks[0], again.marks[1]]).toEqual([0, 'sent', 'queued']);
  expect((await take(id)).slice).toBe(1);
});

it('a campaign that is paused while its last recipient is in hand is completed', async () => {
  const id = await addCampaign(redis, { recipients: 1 });
  const taken = await take(id);
  await slices.claim(taken, 0);
  await moveCampaign(redis, id, 'paused');
  await slices.settle(settled(id, 0), Date.now());
  expect(await standingOf(redis, id)).toMatchObject({ status: 'completed', counts: { pending: 0, sent: 1 } });
  expect(await eventsOf(id)).toEqual(['campaign.completed']);
});

it('a scheduled campaign starts at its time, and the same step reports it', async () => {
  const at = Date.now() + 60_000;
  const id = await addCampaign(redis, { recipients: 10, status: 'scheduled', scheduledAt: at });
  const { waitMs } = (await look(id)) as Rest;
  expect(waitMs).toBeGreaterThan(0);
  expect((await slices.due()).ids).not.toContain(id);
  expect(await eventsOf(id)).toEqual([]);
  await redis.hset(keys.campaign(id), 'scheduledAt', 1);
  const taken = await take(id);
  expect([taken.status, taken.startedAt > 1, taken.allowed]).toEqual(['running', true, 10]);
  await sendAll(taken);
  expect(await eventsOf(id)).toEqual(['campaign.started', 'campaign.completed']);
});

it('a scheduled campaign without recipients is completed as it starts', async () => {
  const id = await addCampaign(redis, { recipients: 0, status: 'scheduled', scheduledAt: 1 });
  expect(await look(id)).toEqual({ waitMs: null });
  expect((await standingOf(redis, id)).status).toBe('completed');
  expect(await eventsOf(id)).toEqual(['campaign.started', 'campaign.completed']);
});

it('no more may leave than the rate of the campaign allows, whichever worker asks', async () => {
  const id = await addCampaign(redis, { recipients: 200, head: { rate: { count: 600, windowMs: 60_000 } } });
  const first = await take(id);
  expect(first.allowed).toBe(10);
  expect(await look(id)).toEqual({ waitMs: expect.any(Number) });
  await slices.release(first, { againInMs: 0, unused: 4 });
  const second = await take(id);
  await redis.hset(keys.campaign(id), 'tokens', 0, 'tokensAt', Date.now() - 500);
  const third = await take(id);
  expect([second.slice, second.allowed, third.allowed]).toEqual([0, 4, 5]);
});

it('after a long rest no more is allowed at once than the rate of a second', async () => {
  const id = await addCampaign(redis, { recipients: 200, head: { rate: { count: 10, windowMs: 1_000 } } });
  await redis.hset(keys.campaign(id), 'tokens', 0, 'tokensAt', Date.now() - 3_600_000);
  expect((await take(id)).allowed).toBe(10);
});

it('once a campaign is canceled its slices are taken from the first on again, also one that was in hand then', async () => {
  const id = await addCampaign(redis, { recipients: 100 });
  const inHand = await take(id);
  await moveCampaign(redis, id, 'canceled');
  const other = await take(id);
  expect([other.slice, other.status]).toEqual([1, 'canceled']);
  await Promise.all(
    placesOf(other).map((place) => slices.settle(settled(id, place, { from: 'queued', to: 'canceled' }), 1)),
  );
  await slices.release(other, { againInMs: null, unused: 0 });
  await slices.release(inHand, { againInMs: null, unused: 0 });
  const again = await take(id);
  expect([again.slice, again.status]).toEqual([0, 'canceled']);
  expect((await standingOf(redis, id)).counts).toMatchObject({ pending: 50, canceled: 50 });
});

it('once a campaign is canceled, a slice that was in hand then is taken again also when all that is left of it has left its place', async () => {
  const id = await addCampaign(redis, { recipients: 2 });
  const inHand = await take(id);
  for (const place of placesOf(inHand)) await slices.claim(inHand, place);
  await moveCampaign(redis, id, 'canceled');
  expect(await look(id)).toEqual({ waitMs: expect.any(Number) });
  await slices.settle(settled(id, 0), Date.now());
  await redis.setrange(keys.campaignMarks(id), 1, placeMarks.left);
  await slices.release(inHand, { againInMs: null, unused: 0 });
  expect(await look(id)).toMatchObject({ slice: 0, status: 'canceled', marks: ['sent', 'left'] });
});

it('once a campaign is canceled no slice is passed over, also when one that was given back comes first', async () => {
  const id = await addCampaign(redis, { recipients: 150 });
  await sendAll(await take(id));
  await slices.release(await take(id), { againInMs: 0, unused: 0 });
  await redis.setrange(keys.campaignMarks(id), 0, placeMarks.left);
  await moveCampaign(redis, id, 'canceled');
  expect([(await take(id)).slice, (await take(id)).slice, (await take(id)).slice]).toEqual([1, 0, 2]);
});

it('a finished slice is not looked at again, though its worker died before it reported that', async () => {
  const id = await addCampaign(redis, { recipients: 100 });
  const [done] = [await take(id), await take(id)];
  for (const place of placesOf(done)) await slices.claim(done, place);
  await Promise.all(placesOf(done).map((place) => slices.settle(settled(id, place), Date.now())));
  await leaveSlices(redis, id);
  expect((await take(id)).slice).toBe(1);
  expect(await redis.zrange(keys.campaignSlices(id), '0', '-1')).toEqual(['1']);
});

it('says what recipients a slice has, also one at the end that is short', async () => {
  const id = await addCampaign(redis, { recipients: 520 });
  const rows = await slices.rows({ campaignId: id, slice: 10 });
  expect(rows[0]?.address).toBe('r500@example.com');
  expect(rows.filter((row) => row !== undefined)).toHaveLength(20);
});
