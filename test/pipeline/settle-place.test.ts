/** settle-place: an answer counts also when it comes after the recipient left its place as one of whom nobody knows. */
import { expect, it } from 'vitest';
import { placeMarks } from '../../src/domain/campaign.ts';
import { lostOutcome, placeEmail } from '../../src/domain/campaign-email.ts';
import type { RetryPolicy } from '../../src/domain/decide.ts';
import { placeId } from '../../src/domain/id.ts';
import type { SettledOutcome } from '../../src/domain/outcome.ts';
import { callOff } from '../../src/pipeline/call-off.ts';
import { settle, settleChange } from '../../src/pipeline/settle.ts';
import { type PlaceInHand, settlePlace } from '../../src/pipeline/settle-place.ts';
import type { Take } from '../../src/store/campaign-slices.ts';
import { keys } from '../../src/store/keys.ts';
import { addCampaign, eventsIn, moveCampaign, standingOf, tallyOf } from '../support/campaigns.ts';
import { newId, storeOver, type TestStore } from '../support/store.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: TestStore['redis'];
let store: TestStore['store'];
useTestRedis(async (server) => {
  redis = server.connect();
  store = await storeOver(redis);
});

const policy: RetryPolicy = { scheduleMs: [60_000], maxAgeMs: 3_600_000 };
const content = { html: null, text: ['t'], headers: {}, attachments: [] };

/** A recipient whose message was handed over by a worker that nobody sees any more, and what settles it. */
async function handing(onUnknown: 'retry' | 'hold', bulk = policy) {
  const { emails, slices, leave, campaigns } = store;
  const id = await addCampaign(redis, { recipients: 1, head: { onUnknown } });
  await redis.set(keys.campaignMarks(id), placeMarks.handing);
  const campaign = await campaigns.get(id);
  const [placed] = await campaigns.chunk(id, 0);
  if (campaign === null || placed === undefined) throw new Error('It is not stored');
  const email = placeEmail(campaign, { ...placed, mark: 'queued' }, 'News', Date.now());
  const held: PlaceInHand = {
    ...{ campaignId: id, place: 0, from: 'handing', email },
    fill: () => ({ email, content }),
    subject: () => null,
  };
  const own = { policies: { transactional: policy, bulk }, newId, now: Date.now, rand: () => 0 };
  const settleLeft = settle.bind(null, { ...own, emails, report: () => {} });
  return { id, held, settleIt: settlePlace.bind(null, { ...own, emails, slices, leave, settleLeft }) };
}

const answered = (code: number): SettledOutcome => ({
  kind: 'answered',
  transport: 't',
  replies: [{ address: 'r0@example.com', smtp: { code, enhanced: null, reply: `${code} So` } }],
});
const told = async () => (await eventsIn(redis)).map(({ type }) => type).filter((type) => type.startsWith('email.'));

it.each([
  ['retry', 250, 'sent'],
  ['retry', 550, 'bounced'],
  ['hold', 250, 'sent'],
  ['hold', 550, 'bounced'],
] as const)(
  'a late answer counts for the email that left its place (on_unknown: %s, %d)',
  async (onUnknown, code, status) => {
    const { id, held, settleIt } = await handing(onUnknown);
    await settleIt(held, lostOutcome('r0@example.com'));
    expect(await settleIt(held, answered(code))).toBeNull();
    const { state } = (await store.emails.read(placeId(id, 0))) ?? {};
    expect(state?.recipients[0]).toMatchObject({ status, smtp: { code }, attempts: 1 });
    expect((await standingOf(redis, id)).counts).toEqual(await tallyOf(redis, id));
    expect(await told()).toEqual(['email.outcome_unknown', `email.${status}`]);
  },
);

it('a recipient with an unknown outcome whose time is over leaves its place, which has room for only one event', async () => {
  const { id, held, settleIt } = await handing('retry', { ...policy, maxAgeMs: 1 });
  await settleIt(held, lostOutcome('r0@example.com'));
  expect(await told()).toEqual(['email.outcome_unknown', 'email.failed']);
  const left = await store.emails.read(placeId(id, 0));
  expect(left?.state).toMatchObject({ recipients: [{ status: 'failed' }], sequence: 2 });
  const { steps } = await store.emails.timeline(placeId(id, 0));
  expect(steps.map(({ kind, transport }) => [kind, transport])).toEqual([['unknown', undefined]]);
  expect((await standingOf(redis, id)).counts).toEqual(await tallyOf(redis, id));
  expect(await redis.llen(keys.ended)).toBe(1);
});

it.each([
  ['that answered is told of', answered(451), 't'],
  ['that nobody knows is not', lostOutcome('r0@example.com'), null],
])('if a letter can no longer be made, the transport %s', async (_, what, transport) => {
  const { id, held, settleIt } = await handing('retry');
  await settleIt({ ...held, fill: () => ({ fault: 'it is damaged' }) }, what);
  const [placed] = await store.campaigns.chunk(id, 0);
  expect(placed).toMatchObject({ mark: 'failed', outcome: { transport, reason: 'it is damaged' } });
});

it('a late answer that asks to try again changes nothing', async () => {
  const { id, held, settleIt } = await handing('retry');
  await settleIt(held, lostOutcome('r0@example.com'));
  const before = await store.emails.read(placeId(id, 0));
  expect(await settleIt(held, answered(451))).toBeNull();
  expect((await store.emails.read(placeId(id, 0)))?.state).toEqual(before?.state);
  expect(await told()).toEqual(['email.outcome_unknown']);
});

it('a late answer is ignored while another attempt hands the email over', async () => {
  const { id, held, settleIt } = await handing('retry');
  await settleIt(held, lostOutcome('r0@example.com'));
  const { emails } = store;
  const left = await emails.read(placeId(id, 0));
  if (left === null) throw new Error('It did not leave');
  await emails.claimHandOver(left, { at: 1, transport: 't', attemptId: 'at_2', job: 'jb_1' });
  await settleIt(held, answered(550));
  expect((await emails.read(placeId(id, 0)))?.state.recipients[0]?.status).toBe('deferred');
  expect(await told()).toEqual(['email.outcome_unknown']);
});

it('a recipient held after all others of a canceled campaign have ended is taken once more, and ends with the campaign', async () => {
  const { slices, emails } = store;
  const { id, held, settleIt } = await handing('hold');
  await moveCampaign(redis, id, 'canceled');
  await settleIt(held, lostOutcome('r0@example.com'));
  expect((await standingOf(redis, id)).counts).toMatchObject({ pending: 0, outcome_unknown: 1 });
  const take = () => slices.take(id, { id: newId('jb'), leaseMs: 60_000, inHand: [] });
  const taken = await take();
  expect(taken).toMatchObject({ status: 'canceled', slice: 0, marks: ['left'] });
  const change = settleChange.bind(null, { emails, report: () => {}, newId, now: Date.now });
  expect(await callOff({ emails, change }, placeId(id, 0))).toBe(true);
  const { counts } = await standingOf(redis, id);
  expect(counts).toMatchObject({ outcome_unknown: 0, canceled: 1 });
  expect(counts).toEqual(await tallyOf(redis, id));
  await slices.release(taken as Take, { againInMs: null, unused: 0 });
  expect(await take()).toEqual({ waitMs: null });
  expect(await told()).toEqual(['email.outcome_unknown', 'email.canceled']);
});
