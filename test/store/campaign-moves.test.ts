/** What moves a campaign: from every status by every move, once however often it is asked, with its time, its turn and its event in one step. */
import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { type CampaignMove, type CampaignStatus, campaignMoves, campaignStatuses } from '../../src/domain/campaign.ts';
import { makeCampaignId, makeId } from '../../src/domain/id.ts';
import { idempotencyMs } from '../../src/domain/idempotency.ts';
import { hearCampaigns } from '../../src/store/campaign-bell.ts';
import { openCampaignSlices } from '../../src/store/campaign-slices.ts';
import { type Campaigns, openCampaigns } from '../../src/store/campaigns.ts';
import { keys } from '../../src/store/keys.ts';
import { draft } from '../support/campaign-drafts.ts';
import { until } from '../support/until.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
let campaigns: Campaigns;
useTestRedis((server) => {
  redis = server.connect();
  campaigns = openCampaigns(redis);
});

let made = 0;
/** One that stands there with `pending` recipients of `recipients`. */
async function stored(status: CampaignStatus, recipients = 3, pending = recipients): Promise<string> {
  const id = makeCampaignId(++made, Buffer.alloc(10, made));
  await campaigns.add(draft({ id }));
  await redis.hset(keys.campaign(id), { status, 'n:recipients': recipients, 'n:pending': pending });
  return id;
}

/** By the clock of this process, which is another than that of Redis. */
const now = 1_000_000;
const later = Date.now() + 3_600_000;
const ask = (id: string, move: CampaignMove, changeId = `${id}${move}`) =>
  campaigns.move(id, { move, changeId, now, at: move === 'schedule' ? later : null });
/** `at once` by the clock of Redis: whoever looks now finds it. */
async function turnOf(id: string): Promise<number | 'at once' | null> {
  const turn = await redis.zscore(keys.campaignsDue, id);
  if (turn === null) return null;
  return (await openCampaignSlices(redis).due()).ids.includes(id) ? 'at once' : Number(turn);
}
async function toldOf(id: string): Promise<string[]> {
  const entries = await redis.xrange(keys.outbox, '-', '+');
  const events = entries.map(([, [, json = '']]) => JSON.parse(json));
  return events.filter((event) => event.campaignId === id).map(({ type, at }) => `${type} ${at}`);
}

const all = campaignStatuses.flatMap((status) =>
  Object.keys(campaignMoves).map((move): [CampaignStatus, CampaignMove] => [status, move as CampaignMove]),
);

describe('every status and every move', () => {
  it.each(all)('%s, %s', async (status, move) => {
    const id = await stored(status);
    const { from, to, event } = campaignMoves[move];
    const isAllowed = (from as readonly CampaignStatus[]).includes(status);
    const moved = isAllowed ? { kind: 'moved', status: to } : { kind: 'refused', status };
    expect(await ask(id, move)).toEqual(moved);
    expect((await campaigns.get(id))?.state.status).toBe(isAllowed ? to : status);
    expect(await toldOf(id)).toEqual(isAllowed && event !== null ? [`${event} ${now}`] : []);
    const turn = to === 'paused' ? null : to === 'scheduled' ? later : 'at once';
    expect(await turnOf(id)).toBe(isAllowed ? turn : null);
  });
});

it('a repeat whose answer was lost is recognized, and reports nothing again', async () => {
  const id = await stored('draft');
  for (const kind of ['moved', 'repeated']) expect(await ask(id, 'start', 'one')).toEqual({ kind, status: 'running' });
  expect(await ask(id, 'start', 'another')).toEqual({ kind: 'refused', status: 'running' });
  expect(await toldOf(id)).toEqual([`campaign.started ${now}`]);
});

it('a repeat that comes after other moves is known as one as well, and takes nothing of them back', async () => {
  const id = await stored('draft');
  await ask(id, 'schedule', 'one');
  await campaigns.move(id, { move: 'schedule', changeId: 'two', now, at: later + 1_000 });
  expect(await ask(id, 'schedule', 'one')).toEqual({ kind: 'repeated', status: 'scheduled' });
  expect((await campaigns.get(id))?.state.scheduledAt).toBe(later + 1_000);
  await ask(id, 'start', 'three');
  await ask(id, 'pause', 'four');
  expect(await ask(id, 'start', 'three')).toEqual({ kind: 'repeated', status: 'paused' });
  for (let n = 0; n < 10; n += 1) await ask(id, n % 2 ? 'pause' : 'resume', makeId('ch', now, Buffer.alloc(10, n)));
  expect((await redis.hget(keys.campaign(id), 'change'))?.length).toBe(8 * 44);
});

it('a move under an id that was used a day before is another move', async () => {
  const id = await stored('running');
  const askAt = (at: number, move: CampaignMove, changeId: string) =>
    campaigns.move(id, { move, changeId, now: at, at: null });
  await askAt(now, 'pause', 'nightly');
  await askAt(now + 1, 'resume', 'morning');
  expect(await askAt(now + idempotencyMs - 1, 'pause', 'nightly')).toEqual({ kind: 'repeated', status: 'running' });
  for (const kind of ['moved', 'repeated'])
    expect(await askAt(now + idempotencyMs, 'pause', 'nightly')).toEqual({ kind, status: 'paused' });
});

it('a move that was kept without its time counts as made, among others that have one', async () => {
  const id = await stored('running');
  await redis.hset(keys.campaign(id), 'change', 'third second first ');
  await ask(id, 'pause', 'fourth');
  for (const changeId of ['fourth', 'third', 'second', 'first'])
    expect(await ask(id, 'resume', changeId)).toEqual({ kind: 'repeated', status: 'paused' });
  expect(await ask(id, 'resume', 'fifth')).toEqual({ kind: 'moved', status: 'running' });
});

it('a campaign keeps the time of its first start, and drops a later planned time', async () => {
  const id = await stored('draft');
  await ask(id, 'schedule');
  expect((await campaigns.get(id))?.state.scheduledAt).toBe(later);
  await ask(id, 'start');
  await ask(id, 'pause');
  await campaigns.move(id, { move: 'resume', changeId: 'later', now: now + 100, at: null });
  expect((await campaigns.get(id))?.state).toMatchObject({ status: 'running', startedAt: now, scheduledAt: null });
});

it('a campaign knows since when it is paused, as long as it is, and that it is canceled', async () => {
  const id = await stored('running');
  expect(await campaigns.stopped(id)).toBeNull();
  await ask(id, 'pause');
  expect(await campaigns.stopped(id)).toEqual({ kind: 'paused', at: now });
  await ask(id, 'resume');
  expect([await campaigns.stopped(id), await redis.hget(keys.campaign(id), 'pausedAt')]).toEqual([null, null]);
  await ask(id, 'cancel');
  expect(await campaigns.stopped(id)).toEqual({ kind: 'canceled' });
});

it('a campaign without recipients cannot be sent, and can be canceled', async () => {
  const id = await stored('draft', 0);
  expect(await ask(id, 'start')).toEqual({ kind: 'empty', status: 'draft' });
  expect(await ask(id, 'schedule')).toEqual({ kind: 'empty', status: 'draft' });
  expect(await ask(id, 'cancel')).toEqual({ kind: 'moved', status: 'canceled' });
  expect([await turnOf(id), (await campaigns.get(id))?.state.endedAt]).toEqual([null, now]);
});

it('the bell rings once for each campaign that has its turn at once, and for nothing else', async () => {
  const [one, none] = [await stored('draft'), await stored('running', 3, 0)];
  const rung: string[] = [];
  const subscriber = redis.duplicate();
  subscriber.on('message', (_channel, id) => rung.push(id));
  let rings = 0;
  await hearCampaigns(subscriber, () => rings++);
  for (const move of ['schedule', 'start', 'start', 'pause', 'resume', 'cancel', 'resume'] as const)
    await ask(one, move);
  await ask(none, 'cancel');
  await redis.publish(keys.campaignsBell, 'the end');
  await until('all of it to be heard', () => rung.at(-1) === 'the end');
  subscriber.disconnect();
  expect(rung).toEqual([one, one, one, 'the end']);
  expect(rings).toBe(4);
});

it('a canceled campaign has a turn as long as a pending recipient is still to be reported', async () => {
  const [some, none] = [await stored('paused', 3, 1), await stored('paused', 3, 0)];
  await ask(some, 'cancel');
  await ask(none, 'cancel');
  expect([await turnOf(some), await turnOf(none)]).toEqual(['at once', null]);
});

it.each([now, Date.now() + 86_400_000])('has its turn at once also by a clock that is wrong: %d', async (wrong) => {
  const id = await stored('draft');
  const ask = (move: CampaignMove) => campaigns.move(id, { move, changeId: move, now: wrong, at: null });
  await ask('start');
  expect(await turnOf(id)).toBe('at once');
  await ask('pause');
  await ask('resume');
  expect(await turnOf(id)).toBe('at once');
});

it.each([
  ['draft', 'start', ['campaign.started', 'campaign.completed']],
  ['scheduled', 'start', ['campaign.started', 'campaign.completed']],
  ['paused', 'resume', ['campaign.resumed', 'campaign.completed']],
] as const)('%s, %s: is over at once where all were canceled one by one', async (status, move, told) => {
  const id = await stored(status, 3, 0);
  for (const kind of ['moved', 'repeated']) expect(await ask(id, move)).toEqual({ kind, status: 'completed' });
  expect(await toldOf(id)).toEqual(told.map((type) => `${type} ${now}`));
  expect((await campaigns.get(id))?.state).toMatchObject({ status: 'completed', endedAt: now });
  expect(await turnOf(id)).toBeNull();
  expect(await campaigns.remove(id)).toBe('removed');
});

it('a pause does not count for its pace', async () => {
  const id = await stored('running', 3, 1);
  await redis.hset(keys.campaign(id), { pace: 5, paceAt: now - 10_000, paceLeft: 2 });
  await ask(id, 'pause');
  expect(await redis.hmget(keys.campaign(id), 'pace', 'paceAt', 'paceLeft')).toEqual([null, null, null]);
});

it('a removed campaign does not exist, and one is removed only when nothing of it is still to be sent', async () => {
  expect(await ask(makeCampaignId(1, Buffer.alloc(10, 255)), 'start')).toEqual({ kind: 'gone' });
  for (const status of ['scheduled', 'running', 'paused', 'canceled'] as const) {
    const id = await stored(status);
    await redis.set(keys.campaignMarks(id), 'qqq');
    expect(await campaigns.remove(id)).toBe(status);
  }
  for (const id of [await stored('draft'), await stored('completed', 3, 0), await stored('canceled', 3, 0)]) {
    await redis.set(keys.campaignMarks(id), 'qqq');
    expect(await campaigns.remove(id)).toBe('removed');
    expect(await redis.exists(keys.campaign(id), keys.campaignMarks(id))).toBe(0);
    expect(await redis.zscore(keys.campaignsRemoved, id)).toBe('0');
    expect(await redis.zscore(keys.campaigns, id)).toBe(null);
    expect(await campaigns.remove(id)).toBe('gone');
  }
});
