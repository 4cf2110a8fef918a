/** enqueue-due: what is due comes into the queue of its lane at the time its email says, whatever changed while it was on its way. */
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { acceptEmail, type StoredEmail } from '../../src/domain/email.ts';
import { type IdPrefix, makeId } from '../../src/domain/id.ts';
import { lanes } from '../../src/domain/lane.ts';
import { enqueueDue } from '../../src/pipeline/enqueue-due.ts';
import { settleChange } from '../../src/pipeline/settle.ts';
import { type DeliverQueues, openDeliverQueues } from '../../src/queue/deliver-queue.ts';
import { openDue } from '../../src/store/due.ts';
import { type Emails, openEmails } from '../../src/store/emails.ts';
import { keys } from '../../src/store/keys.ts';
import { emailRequest } from '../support/requests.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
let emails: Emails;
let deliverQueues: DeliverQueues;
useTestRedis((server, opened) => {
  redis = server.connect();
  emails = openEmails(redis);
  deliverQueues = opened.use(openDeliverQueues({ redis, prefix: '{t}:q' }));
});

const hour = 3_600_000;
const newId = (kind: IdPrefix) => makeId(kind, Date.now(), randomBytes(10));
const change = (email: StoredEmail, asked: Parameters<typeof settleChange>[2]) =>
  settleChange({ emails, report: () => {}, newId, now: () => Date.now() }, email, asked);

/** One step at `at`, with a bell that nobody rings. @returns how long it would have waited, for the bell or for more of a stream */
async function feedAt(at: number): Promise<number> {
  let waitedMs = 0;
  const heard = async (waitMs: number) => {
    waitedMs = waitMs;
  };
  const deps = { due: openDue(redis), bell: { heard }, deliverQueues, jobSize: 25, leaseMs: 1_000, newId, wait: heard };
  await enqueueDue({ ...deps, now: () => at }, new AbortController().signal);
  return waitedMs;
}

async function accepted(given: object = {}): Promise<StoredEmail> {
  const request = emailRequest.parse({ from: 'a@x.co', to: 'b@x.co', subject: 's', text: 't', ...given });
  const email = acceptEmail(request, { id: newId('em'), keyId: 'k', now: Date.now() });
  await emails.create([{ email, claim: null }], { batchClaim: null, isStrict: true, now: Date.now() });
  return { facts: email.facts, state: email.state, version: 1, handOver: null };
}

const scheduled = (at: number) => accepted({ scheduled_at: new Date(at).toISOString() });
const placeOf = async ({ facts }: StoredEmail) => (await deliverQueues[facts.lane].whereabouts(facts.id)).job;

it('feeds due mail to the queue of its lane, and none before its time', async () => {
  const at = Date.now() + hour;
  const [now, bulk, later] = [await accepted(), await accepted({ lane: 'bulk' }), await scheduled(at)];
  await feedAt(Date.now() + 1);
  expect(await Promise.all([now, bulk, later].map(placeOf))).toEqual(['waiting', 'waiting', 'absent']);
  await feedAt(at);
  expect(await placeOf(later)).toBe('waiting');
  // What has reached the queue is not due again once the lease of its taker is over.
  for (const lane of lanes)
    expect([await redis.zcard(keys.due(lane)), await redis.hlen(keys.taken(lane))]).toEqual([0, 0]);
});

it('emails share jobs of a bounded size', async () => {
  for (let n = 0; n < 60; n++) await accepted();
  await feedAt(Date.now() + 1);
  expect(await deliverQueues.transactional.waiting()).toBe(3);
  expect((await deliverQueues.transactional.whereabouts('em_none')).waiting).toBe(60);
});

it('leaves due mail in the store while the queue is full', async () => {
  for (let n = 0; n < 40; n++) await deliverQueues.bulk.add([{ id: `jb_${n}`, emails: ['em_1'] }], 1);
  const [bulk, other] = [await accepted({ lane: 'bulk' }), await accepted()];
  const waitMs = await feedAt(Date.now() + 1);
  expect([await placeOf(bulk), await placeOf(other)]).toEqual(['absent', 'waiting']);
  expect(waitMs).toBeLessThan(1_000);
  await redis.del('{t}:q:deliver_bulk:wait');
  await feedAt(Date.now() + 1);
  expect(await placeOf(bulk)).toBe('waiting');
});

it('waits no longer than until the next email is due', async () => {
  const at = Date.now() + hour;
  await scheduled(at);
  expect(await feedAt(at - 300)).toBe(300);
  expect(await feedAt(at - 5_000)).toBe(1_000);
});

it('feeds a rescheduled email at its new time, not at its old one', async () => {
  const at = Date.now() + hour;
  const [sooner, later] = [await scheduled(at), await scheduled(at)];
  await change(sooner, { kind: 'rescheduled', at: at - 1_000 });
  await change(later, { kind: 'rescheduled', at: at + 1_000 });
  await feedAt(at - 1_000);
  expect([await placeOf(sooner), await placeOf(later)]).toEqual(['waiting', 'absent']);
  await feedAt(at);
  expect(await placeOf(later)).toBe('absent');
  await feedAt(at + 1_000);
  expect(await placeOf(later)).toBe('waiting');
});

it('feeds a canceled email never', async () => {
  const email = await scheduled(Date.now() + hour);
  await change(email, { kind: 'canceled' });
  await feedAt(Date.now() + 2 * hour);
  expect(await placeOf(email)).toBe('absent');
});
