/** feed: an email's job comes to be where and when its email says, whatever changed while it was on its way. */
import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { acceptEmail, type StoredEmail } from '../../src/domain/email.ts';
import { type IdPrefix, makeId } from '../../src/domain/id.ts';
import { feed } from '../../src/pipeline/feed.ts';
import { settleChange } from '../../src/pipeline/settle.ts';
import { type DeliverQueues, openDeliverQueues } from '../../src/queue/jobs.ts';
import { type Emails, openEmails } from '../../src/store/emails.ts';
import { openTestRedis } from '../support/redis.ts';
import { emailRequest } from '../support/requests.ts';

const opened = new AsyncDisposableStack();
let emails: Emails;
let deliverQueues: DeliverQueues;
beforeAll(async () => {
  const server = opened.use(await openTestRedis());
  const redis = opened.adopt(new Redis(server.url.slice('unix://'.length)), (client) => client.disconnect());
  emails = openEmails(redis);
  deliverQueues = opened.use(openDeliverQueues({ redis, prefix: '{t}:q' }));
});
afterAll(() => opened.disposeAsync());

const hour = 3_600_000;
const newId = (kind: IdPrefix) => makeId(kind, Date.now(), randomBytes(10));
const change = (email: StoredEmail, asked: Parameters<typeof settleChange>[2]) =>
  settleChange({ emails, report: () => {}, newId, now: () => Date.now() }, email, asked);

/** One step at `at`, with a bell that nobody rings. */
async function feedAt(at: number, from: Pick<Emails, 'due' | 'read' | 'strikeOff'> = emails): Promise<void> {
  const bell = { heard: async () => {} };
  await feed({ emails: from, bell, deliverQueues, now: () => at }, new AbortController().signal);
}

async function accepted(given: object = {}): Promise<StoredEmail> {
  const request = emailRequest.parse({ from: 'a@x.co', to: 'b@x.co', subject: 's', text: 't', ...given });
  const email = acceptEmail(request, { id: newId('em'), keyId: 'k', now: Date.now() });
  await emails.create([{ email, claim: null }], { batchClaim: null, isStrict: true, now: Date.now() });
  return { facts: email.facts, state: email.state, version: 1, handOver: null };
}

const scheduled = (at: number) => accepted({ scheduled_at: new Date(at).toISOString() });
const placeOf = ({ facts }: StoredEmail) => deliverQueues[facts.lane].whereIs(facts.id);

it('feeds what is due to the queue of its lane, and nothing before its time', async () => {
  const at = Date.now() + hour;
  const [now, bulk, later] = [await accepted(), await accepted({ lane: 'bulk' }), await scheduled(at)];
  await feedAt(Date.now() + 1);
  expect(await Promise.all([now, bulk, later].map(placeOf))).toEqual(['waiting', 'waiting', 'absent']);
  await feedAt(at);
  expect(await placeOf(later)).toBe('waiting');
  expect(await emails.waiting(at)).toBe(0);
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

it('brings a job that waits for an earlier change to the time of the later one', async () => {
  const at = Date.now() + hour;
  const email = await scheduled(at);
  await deliverQueues.transactional.add([{ id: email.facts.id, at: at + hour }], Date.now());
  await change(email, { kind: 'rescheduled', at: at - 1_000 });
  expect(await placeOf(email)).toBe('delayed');
  await feedAt(at);
  expect(await emails.due('moved', at, 10)).toEqual([]);
});

it('keeps the mark of a change that comes while it is at work', async () => {
  const at = Date.now() + hour;
  const email = await scheduled(at);
  const { id } = email.facts;
  await change(email, { kind: 'rescheduled', at: at - 2_000 });
  const slow: Emails = {
    ...emails,
    async read(asked) {
      const found = await emails.read(asked);
      if (found !== null && asked === id) await change(found, { kind: 'rescheduled', at: at + 1_000 });
      return found;
    },
  };
  await feedAt(at, slow);
  expect((await emails.due('moved', at + 1_000, 10)).map((mark) => mark.id)).toContain(id);
});
