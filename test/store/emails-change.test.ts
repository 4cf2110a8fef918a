/** What a caller asks of a stored email: one of two that came to the same state wins, and it is marked for the queue until it got there. */
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { acceptEmail, type StoredEmail } from '../../src/domain/email.ts';
import { makeId } from '../../src/domain/id.ts';
import { maxTimelineSteps, type TimelineStep } from '../../src/domain/timeline.ts';
import { openDue } from '../../src/store/due.ts';
import { type Emails, openEmails } from '../../src/store/emails.ts';
import { keys } from '../../src/store/keys.ts';
import { emailRequest } from '../support/requests.ts';
import { useTestRedis } from '../support/use-redis.ts';

let emails: Emails;
let redis: Redis;
useTestRedis((server) => {
  redis = server.connect();
  emails = openEmails(redis);
});

async function store(now: number): Promise<StoredEmail> {
  const request = emailRequest.parse({ from: 'a@x.co', to: 'b@x.co', subject: 's', text: 't' });
  const id = makeId('em', now, randomBytes(10));
  const email = acceptEmail(request, { id, keyId: 'k', now });
  await emails.create([{ email, claim: null }], { batchClaim: null, isStrict: true, now });
  return { facts: email.facts, state: email.state, version: 1, handOver: null };
}

const step: TimelineStep = { at: 1, kind: 'retried' };
const mark = (id: string) => openDue(redis).at('transactional', id);

function dueAt(email: StoredEmail, at: number | null): StoredEmail['state'] {
  const recipients = email.state.recipients.map((recipient) => ({ ...recipient, nextAttemptAt: at }));
  return { ...email.state, recipients };
}

it('if two changes lead to the same state in the same millisecond, one wins; the same command sent again wins again', async () => {
  const email = await store(10);
  const after = { state: { ...email.state, since: 11 }, events: [], step };
  expect(await emails.commitChange(email, after, 'ch_1', 1_000)).toBe('done');
  expect(await emails.commitChange(email, after, 'ch_2', 1_000)).toBe('lost');
  expect(await emails.commitChange(email, after, 'ch_1', 1_000)).toBe('done');
  expect((await emails.timeline(email.facts.id)).steps).toHaveLength(1);
});

it('a change that was made before is made no second time, although the email moved on since', async () => {
  const email = await store(10);
  const after = { state: { ...email.state, since: 11 }, events: [], step };
  expect(await emails.commitChange(email, after, 'ch_1', 1_000)).toBe('done');
  expect(await emails.commit({ ...email, version: 2 }, { state: email.state, events: [], step }, '', 1)).toBe(true);
  expect(await emails.commitChange({ ...email, version: 3 }, after, 'ch_1', 1_000)).toBe('done');
  expect((await emails.timeline(email.facts.id)).steps).toHaveLength(2);
});

it('a change is refused while a hand-over is open, and so is the outcome of another attempt, but not of that one', async () => {
  const email = await store(10);
  await emails.claimHandOver(email, { at: 1, transport: 't', attemptId: 'at_1', job: 'jb_1' });
  const after = { state: email.state, events: [], step };
  expect(await emails.commitChange(email, after, 'ch_1', 1_000)).toBe('lost');
  expect(await emails.commit(email, after, '', 1)).toBe(false);
  expect(await emails.commit(email, after, 'at_2', 1)).toBe(false);
  expect(await emails.commit(email, after, 'at_1', 1)).toBe(true);
  expect(await emails.commit(email, after, 'at_1', 1)).toBe(true);
});

it('a changed email is fed again at its own time, and no more once nothing is due', async () => {
  const email = await store(100);
  const { id } = email.facts;
  expect(await mark(id)).toBe(100);
  await emails.commitChange(email, { state: dueAt(email, 300), events: [], step }, 'ch_1', 1_000);
  expect(await mark(id)).toBe(300);
  await emails.commitChange({ ...email, version: 2 }, { state: dueAt(email, null), events: [], step }, 'ch_2', 1_000);
  expect(await mark(id)).toBeNull();
});

it.each([300, null])(
  'an email that was to be retried and was changed is due only at the time of its change: %s',
  async (at) => {
    const email = await store(100);
    const { id } = email.facts;
    await redis.zrem(keys.due('transactional'), id);
    expect(await emails.commit(email, { state: dueAt(email, 200), events: [], step }, 'at_1', 1)).toBe(true);
    expect(await mark(id)).toBe(200);
    await emails.commitChange({ ...email, version: 2 }, { state: dueAt(email, at), events: [], step }, 'ch_1', 199);
    expect(await mark(id)).toBe(at);
    expect(await redis.zscore(keys.again('transactional'), id)).toBeNull();
  },
);

it('a retry that was already due at the change still reaches a worker, which has to void its permit', async () => {
  const email = await store(100);
  const { id } = email.facts;
  await redis.zrem(keys.due('transactional'), id);
  await emails.commit(email, { state: dueAt(email, 200), events: [], step }, 'at_1', 1);
  await emails.commitChange({ ...email, version: 2 }, { state: dueAt(email, null), events: [], step }, 'ch_1', 200);
  expect(await redis.zscore(keys.again('transactional'), id)).toBe('200');
});

it('a timeline keeps its latest steps, however many faults came between them', async () => {
  let email = await store(10);
  const commit = async (what: TimelineStep | null) => {
    expect(await emails.commit(email, { state: email.state, events: [], step: what }, '', 1)).toBe(true);
    email = { ...email, version: email.version + 1 };
  };
  let n = 0;
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < maxTimelineSteps; i++) await commit({ at: n++, kind: 'answered' });
    for (let i = 0; i < maxTimelineSteps; i++) await commit(null);
  }
  const { steps, dropped, faults } = await emails.timeline(email.facts.id);
  expect(faults).toBe(3 * maxTimelineSteps);
  expect(dropped).toBe(2 * maxTimelineSteps);
  expect(steps.map(({ at }) => at)).toEqual(
    Array.from({ length: maxTimelineSteps }, (_, i) => n - maxTimelineSteps + i),
  );
});
