/** The places of a campaign: whoever takes a slice has it alone, nothing is skipped, and what was answered once is answered so again. */
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { placeMarks, sliceSize } from '../../src/domain/campaign.ts';
import type { PlaceOutcome } from '../../src/domain/campaign-email.ts';
import {
  type CampaignSlices,
  openCampaignSlices,
  type PlaceSettled,
  type Take,
} from '../../src/store/campaign-slices.ts';
import { keys } from '../../src/store/keys.ts';
import { addCampaign, eventsIn, moveCampaign, standingOf } from '../support/campaigns.ts';
import { openTestRedis } from '../support/redis.ts';

const opened = new AsyncDisposableStack();
let redis: Redis;
let slices: CampaignSlices;
beforeAll(async () => {
  const server = opened.use(await openTestRedis());
  redis = opened.adopt(new Redis(server.url.slice('unix://'.length)), (client) => client.disconnect());
  slices = openCampaignSlices(redis);
});
afterAll(() => opened.disposeAsync());

const leaseMs = 1_000;
let takes = 0;

async function take(id: string, now = Date.now()): Promise<Take> {
  const taken = await slices.take(id, `jb_${takes++}`, now, now + leaseMs);
  if (!('slice' in taken)) throw new Error(`Nothing to take until ${taken.nextAt}`);
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
  await slices.release(taken, null, 0, Date.now());
}

async function eventsOf(id: string): Promise<string[]> {
  const events = await eventsIn(redis);
  return events.flatMap((event) => ('campaignId' in event && event.campaignId === id ? [event.type] : []));
}

const placesOf = ({ slice, marks }: Take) =>
  marks.flatMap((mark, n) => (mark === 'queued' ? [slice * sliceSize + n] : []));

it('every slice is taken once, and the campaign is completed by whoever settles the last place', async () => {
  const id = await addCampaign(redis, { recipients: 120 });
  const three = [await take(id), await take(id), await take(id)];
  expect(three.map(({ slice }) => slice)).toEqual([0, 1, 2]);
  expect(three.map(({ allowed }) => allowed)).toEqual([50, 50, 20]);
  await Promise.all(three.map(sendAll));
  expect(await standingOf(redis, id)).toMatchObject({ status: 'completed', counts: { pending: 0, sent: 120 } });
  expect((await slices.due(Date.now())).ids).not.toContain(id);
});

it('a command that is sent again changes nothing and is answered as it was', async () => {
  const id = await addCampaign(redis, { recipients: 60, head: { rate: { count: 60, windowMs: 1_000 } } });
  const now = Date.now();
  const first = await slices.take(id, 'jb_again', now, now + leaseMs);
  expect(await slices.take(id, 'jb_again', now, now + leaseMs)).toEqual(first);
  const taken = first as Take;
  expect([await slices.claim(taken, 3), await slices.claim(taken, 3)]).toEqual([true, true]);
  expect(await slices.settle(settled(id, 3), now)).toBe(true);
  expect(await slices.settle(settled(id, 3), now)).toBe(true);
  await slices.release(taken, now, 5, now);
  await slices.release(taken, now, 5, now);
  expect((await standingOf(redis, id)).counts).toMatchObject({ pending: 59, sent: 1 });
  expect(await redis.llen(keys.campaignOutcomes(id, 0))).toBe(1);
  expect(Number(await redis.hget(keys.campaign(id), 'tokens'))).toBe(15);
});

it('a slice whose lease ended is taken by another, and who had it may neither send nor settle any more', async () => {
  const id = await addCampaign(redis, { recipients: 50 });
  const late = await take(id);
  await slices.claim(late, 0);
  expect(await slices.take(id, 'jb_early', Date.now(), 0)).toEqual({ nextAt: expect.any(Number) });
  const next = await take(id, Date.now() + leaseMs + 1);
  expect([next.slice, next.marks[0], next.allowed]).toEqual([0, 'handing', 49]);
  expect(await slices.claim(late, 1)).toBe(false);
  expect((await standingOf(redis, id)).marks[1]).toBe('queued');
  expect(await slices.claim(next, 1)).toBe(true);
  expect(await slices.settle(settled(id, 1, { from: 'queued', to: 'suppressed' }), Date.now())).toBe(false);
  await slices.release(late, null, 0, Date.now());
  expect(await slices.claim(next, 2)).toBe(true);
});

it('a lease that is renewed does not end', async () => {
  const id = await addCampaign(redis, { recipients: 50 });
  const taken = await take(id);
  const later = Date.now() + 5 * leaseMs;
  await slices.renew([taken], later);
  expect(await slices.take(id, 'jb_early', later - 1, later)).toEqual({ nextAt: later });
  expect((await take(id, later)).slice).toBe(0);
});

it('of what is settled together, what another settled before is refused and the rest is written', async () => {
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

it('a campaign that was paused gives nothing, lets nothing leave, and goes on where it stood', async () => {
  const id = await addCampaign(redis, { recipients: 100 });
  const taken = await take(id);
  await slices.claim(taken, 0);
  await moveCampaign(redis, id, 'paused');
  expect(await slices.claim(taken, 1)).toBe(false);
  expect(await slices.take(id, 'jb_paused', Date.now(), 0)).toEqual({ nextAt: null });
  await slices.settle(settled(id, 0), Date.now());
  await slices.release(taken, Date.now(), 0, Date.now());
  await moveCampaign(redis, id, 'running');
  const again = await take(id);
  expect([again.slice, again.marks[0], again.marks[1]]).toEqual([0, 'sent', 'queued']);
  expect((await take(id)).slice).toBe(1);
});

it('a scheduled campaign starts at its time, which is told in the same step', async () => {
  const at = Date.now() + 60_000;
  const id = await addCampaign(redis, { recipients: 10, status: 'scheduled', scheduledAt: at });
  expect(await slices.take(id, 'jb_early', at - 1, at)).toEqual({ nextAt: at });
  expect(await eventsOf(id)).toEqual([]);
  const taken = await take(id, at);
  expect([taken.status, taken.startedAt, taken.allowed]).toEqual(['running', at, 10]);
  await sendAll(taken);
  expect(await eventsOf(id)).toEqual(['campaign.started', 'campaign.completed']);
});

it('a scheduled campaign whose recipients are none is completed as it starts', async () => {
  const id = await addCampaign(redis, { recipients: 0, status: 'scheduled', scheduledAt: 1 });
  expect(await slices.take(id, 'jb_none', Date.now(), 0)).toEqual({ nextAt: null });
  expect((await standingOf(redis, id)).status).toBe('completed');
  expect(await eventsOf(id)).toEqual(['campaign.started', 'campaign.completed']);
});

it('no more may leave than the rate of the campaign allows, whoever asks', async () => {
  const id = await addCampaign(redis, { recipients: 200, head: { rate: { count: 600, windowMs: 60_000 } } });
  const first = await take(id);
  expect(first.allowed).toBe(10);
  const none = await slices.take(id, 'jb_none', first.startedAt, 0);
  expect(none).toEqual({ nextAt: expect.any(Number) });
  const now = Date.now();
  await slices.release(first, now, 4, now);
  const [second, third] = [await take(id, now), await take(id, now + 500)];
  expect([second.slice, second.allowed, third.allowed]).toEqual([0, 4, 5]);
});

it('once it is canceled its slices are taken from the first on again, also one that was in hand then', async () => {
  const id = await addCampaign(redis, { recipients: 100 });
  const inHand = await take(id);
  await moveCampaign(redis, id, 'canceled');
  const other = await take(id);
  expect([other.slice, other.status]).toEqual([1, 'canceled']);
  await Promise.all(
    placesOf(other).map((place) => slices.settle(settled(id, place, { from: 'queued', to: 'canceled' }), 1)),
  );
  await slices.release(other, null, 0, Date.now());
  await slices.release(inHand, null, 0, Date.now());
  const again = await take(id);
  expect([again.slice, again.status]).toEqual([0, 'canceled']);
  expect((await standingOf(redis, id)).counts).toMatchObject({ pending: 50, canceled: 50 });
});

it('once it is canceled no slice is passed over, also when one that was given back comes first', async () => {
  const id = await addCampaign(redis, { recipients: 150 });
  await sendAll(await take(id));
  await slices.release(await take(id), Date.now(), 0, Date.now());
  await redis.setrange(keys.campaignMarks(id), 0, placeMarks.left);
  await moveCampaign(redis, id, 'canceled');
  expect([(await take(id)).slice, (await take(id)).slice, (await take(id)).slice]).toEqual([1, 0, 2]);
});

it('a slice that is all done is looked at no more, though its worker died before it said so', async () => {
  const id = await addCampaign(redis, { recipients: 100 });
  const [done] = [await take(id), await take(id)];
  for (const place of placesOf(done)) await slices.claim(done, place);
  await Promise.all(placesOf(done).map((place) => slices.settle(settled(id, place), Date.now())));
  expect((await take(id, Date.now() + leaseMs + 1)).slice).toBe(1);
  expect(await redis.zrange(keys.campaignSlices(id), '0', '-1')).toEqual(['1']);
});

it('says what recipients a slice has, also one at the end that is short', async () => {
  const id = await addCampaign(redis, { recipients: 520 });
  const rows = await slices.rows({ campaignId: id, slice: 10 });
  expect(rows[0]?.address).toBe('r500@example.com');
  expect(rows.filter((row) => row !== undefined)).toHaveLength(20);
});
