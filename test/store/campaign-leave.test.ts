/** An email that leaves its place in a campaign: from then on it has a record, is found, is counted and comes again like any other. */
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { type PlaceMark, placeMarks } from '../../src/domain/campaign.ts';
import { placeEmail } from '../../src/domain/campaign-email.ts';
import { decide } from '../../src/domain/decide.ts';
import { decideChange } from '../../src/domain/decide-change.ts';
import { placeId } from '../../src/domain/id.ts';
import type { SettledOutcome } from '../../src/domain/outcome.ts';
import { stepOf } from '../../src/domain/timeline.ts';
import { openCampaignLeave } from '../../src/store/campaign-leave.ts';
import { openCampaignSlices, type Take } from '../../src/store/campaign-slices.ts';
import { openCampaigns } from '../../src/store/campaigns.ts';
import { openDue } from '../../src/store/due.ts';
import { openEmails } from '../../src/store/emails.ts';
import { keys } from '../../src/store/keys.ts';
import { addCampaign, moveCampaign, standingOf } from '../support/campaigns.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
useTestRedis((server) => {
  redis = server.connect();
});

const policy = { scheduleMs: [60_000], maxAgeMs: 3_600_000 };
const content = { html: '<p>h</p>', text: 't', headers: {}, attachments: [] };
const unknown: SettledOutcome = { kind: 'unknown', transport: 't', detail: 'it died', refused: [] };
const now = 1_000_000;

async function placedAt(id: string, place: number, mark: PlaceMark) {
  const campaign = await openCampaigns(redis).get(id);
  const [placed] = (await openCampaigns(redis).chunk(id, 0)).filter((one) => one.place === place);
  if (campaign === null || placed === undefined) throw new Error('It is not stored');
  await redis.setrange(keys.campaignMarks(id), place, placeMarks[mark]);
  const started = { head: campaign.head, state: { ...campaign.state, startedAt: now } };
  const email = placeEmail(started, { ...placed, mark }, 'News for you', now);
  return { email, mark, content };
}

function attempted({ email }: Awaited<ReturnType<typeof placedAt>>, outcome: SettledOutcome) {
  const { state, events } = decide(email, outcome, policy, now, 0.5);
  return { state, events, step: stepOf(outcome, email.state, events, now) };
}

it('it has its record, content and timeline, is found by its terms, and comes again', async () => {
  const id = await addCampaign(redis, { recipients: 3, head: { tags: [{ name: 'kind', value: 'news' }] } });
  const leaving = await placedAt(id, 1, 'handing');
  const { leave } = openCampaignLeave(redis);
  const after = attempted(leaving, unknown);
  expect(await leave(leaving, after, '', now)).toBe('done');
  const email = await openEmails(redis).load(placeId(id, 1));
  expect(email).toMatchObject({
    facts: { subject: 'News for you', campaignId: id, lane: 'bulk' },
    state: { sequence: 1, recipients: [{ address: 'r1@example.com', status: 'deferred', attempts: 1 }] },
    ...{ version: 1, handOver: null, content },
  });
  expect((await openEmails(redis).timeline(placeId(id, 1))).steps).toHaveLength(1);
  const query = { cursor: null, createdFrom: null, createdTo: null, limit: 9 };
  const groups = [[['status', 'deferred'] as const], [['tag', 'kind', 'news'] as const]];
  expect((await openEmails(redis).find({ ...query, groups }))?.emails).toHaveLength(1);
  expect(await openDue(redis).at('bulk', placeId(id, 1))).toBe(after.state.recipients[0]?.nextAttemptAt);
  const { marks, counts } = await standingOf(redis, id);
  expect([marks[1], counts.pending]).toEqual(['left', 3]);
});

it('a recipient whose answer was lost leaves once, and none leaves from a mark that changed meanwhile', async () => {
  const id = await addCampaign(redis, { recipients: 3, head: { onUnknown: 'hold' } });
  const leaving = await placedAt(id, 0, 'handing');
  const { leave } = openCampaignLeave(redis);
  const after = attempted(leaving, unknown);
  expect(await leave(leaving, after, '', now)).toBe('done');
  expect(await leave(leaving, after, '', now)).toBe('done');
  const other = attempted(leaving, { ...unknown, detail: 'so another says' });
  expect(await leave(leaving, other, '', now)).toBe('lost');
  expect((await standingOf(redis, id)).counts).toMatchObject({ pending: 2, outcome_unknown: 1 });
  const sent = await placedAt(id, 1, 'sent');
  expect(await leave({ ...sent, mark: 'handing' }, attempted(sent, unknown), '', now)).toBe('lost');
  expect(await openEmails(redis).read(placeId(id, 1))).toBeNull();
});

it('if two changes lead to the same state, one wins, and no email is due without content', async () => {
  const id = await addCampaign(redis, { recipients: 1 });
  const leaving = await placedAt(id, 0, 'failed');
  await redis.hset(keys.campaign(id), { status: 'completed', 'n:pending': 0, 'n:failed': 1 });
  const decision = decideChange(leaving.email, { kind: 'retried' }, now);
  if ('refused' in decision) throw new Error(decision.refused);
  const after = { ...decision, step: stepOf({ kind: 'retried' }, leaving.email.state, decision.events, now) };
  const { leave } = openCampaignLeave(redis);
  expect(await leave({ ...leaving, content: null }, after, 'ch_1', now)).toBe('content_gone');
  expect(await leave(leaving, after, 'ch_1', now)).toBe('done');
  expect(await leave(leaving, after, 'ch_2', now)).toBe('lost');
  expect(await leave(leaving, after, 'ch_1', now)).toBe('done');
  const { status, counts } = await standingOf(redis, id);
  expect([status, counts.pending, counts.failed]).toEqual(['running', 1, 0]);
});

it('no recipient starts to wait in a canceled campaign, and a repeat of an earlier retry gets the same answer', async () => {
  const id = await addCampaign(redis, { recipients: 2 });
  await redis.hset(keys.campaign(id), { 'n:pending': 0, 'n:failed': 2 });
  const [one, two] = [await placedAt(id, 0, 'failed'), await placedAt(id, 1, 'failed')];
  const { leave } = openCampaignLeave(redis);
  const retry = (leaving: typeof one) => {
    const decision = decideChange(leaving.email, { kind: 'retried' }, now);
    if ('refused' in decision) throw new Error(decision.refused);
    return leave(leaving, { ...decision, step: null }, 'ch_1', now);
  };
  expect(await retry(one)).toBe('done');
  await moveCampaign(redis, id, 'canceled');
  expect([await retry(one), await retry(two)]).toEqual(['done', 'campaign_canceled']);
  const { marks, counts } = await standingOf(redis, id);
  expect([marks, counts.pending, counts.failed]).toEqual([['left', 'failed'], 1, 1]);
});

it.each(['paused', 'canceled'] as const)('is not claimed for a hand-over while its campaign is %s', async (status) => {
  const id = await addCampaign(redis, { recipients: 1 });
  const leaving = await placedAt(id, 0, 'queued');
  await openCampaignLeave(redis).leave(leaving, attempted(leaving, unknown), '', now);
  const emails = openEmails(redis);
  const email = await emails.load(placeId(id, 0));
  if (email === null) throw new Error('It is not stored');
  const claim = (attemptId: string) => emails.claimHandOver(email, { at: now, transport: 't', attemptId, job: 'jb_1' });
  await moveCampaign(redis, id, status);
  expect(await claim('at_1')).toBe(false);
  await moveCampaign(redis, id, 'running');
  expect(await claim('at_2')).toBe(true);
});

it('a campaign that is sent once more has its turn at once, also by a clock that is ahead of that of Redis', async () => {
  const id = await addCampaign(redis, { recipients: 1, status: 'completed' });
  const leaving = await placedAt(id, 0, 'failed');
  await redis.hset(keys.campaign(id), { 'n:pending': 0, 'n:failed': 1 });
  const decision = decideChange(leaving.email, { kind: 'retried' }, now);
  if ('refused' in decision) throw new Error(decision.refused);
  const ahead = Date.now() + 86_400_000;
  expect(await openCampaignLeave(redis).leave(leaving, { ...decision, step: null }, 'ch_1', ahead)).toBe('done');
  expect((await openCampaignSlices(redis).due()).ids).toContain(id);
});

it('a slice whose last place left after the campaign was canceled is taken once more, so that it can be ended', async () => {
  const id = await addCampaign(redis, { recipients: 1 });
  const slices = openCampaignSlices(redis, 0);
  const taken = (await slices.take(id, { id: 'jb_1', leaseMs: 60_000, inHand: [] })) as Take;
  await slices.claim(taken, 0);
  await moveCampaign(redis, id, 'canceled');
  const leaving = await placedAt(id, 0, 'handing');
  await openCampaignLeave(redis).leave(leaving, attempted(leaving, unknown), '', now);
  await redis.hset(keys.campaign(id), 'recall', 1);
  await slices.release(taken, { againInMs: null, unused: 0 });
  expect(await slices.take(id, { id: 'jb_2', leaseMs: 60_000, inHand: [] })).toMatchObject({
    slice: 0,
    marks: expect.arrayContaining(['left']),
  });
});
