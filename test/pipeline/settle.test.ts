/** settle: an outcome is counted once, also when two workers come to it. */
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { acceptEmail, type StoredEmail } from '../../src/domain/email.ts';
import { makeId } from '../../src/domain/id.ts';
import type { SettledOutcome } from '../../src/domain/outcome.ts';
import { settle } from '../../src/pipeline/settle.ts';
import { type Emails, openEmails } from '../../src/store/emails.ts';
import { keys } from '../../src/store/keys.ts';
import { unpackEvent } from '../../src/store/record.ts';
import { emailRequest } from '../support/requests.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
let emails: Emails;
useTestRedis((server) => {
  redis = server.connect();
  emails = openEmails(redis);
});

const policy = { scheduleMs: [60_000], maxAgeMs: 3_600_000 };
const settleIt = (email: StoredEmail, outcome: SettledOutcome, attemptId = 'at_1', now = Date.now) =>
  settle(
    {
      emails,
      policies: { transactional: policy, bulk: policy },
      report: () => {},
      newId: (prefix) => makeId(prefix, Date.now(), randomBytes(10)),
      now,
      rand: () => 0,
    },
    email,
    outcome,
    attemptId,
  );

/** An email as whoever comes to its job sees it while another hands it over. */
async function handedOver(onUnknown: 'retry' | 'hold'): Promise<StoredEmail> {
  const request = emailRequest.parse({ from: 'a@x.co', to: 'b@x.co', subject: 's', text: 't', on_unknown: onUnknown });
  const id = makeId('em', Date.now(), randomBytes(10));
  const email = acceptEmail(request, { id, keyId: 'k', now: Date.now() });
  await emails.create([{ email, claim: null }], { batchClaim: null, isStrict: true, now: Date.now() });
  const stored = { facts: email.facts, state: email.state, version: 1, handOver: null };
  await emails.claimHandOver(stored, { at: 1, transport: 'smtp', attemptId: 'at_1', job: 'jb_1' });
  return (await emails.read(id)) as StoredEmail;
}

async function told(): Promise<string[]> {
  return (await redis.xrange(keys.outbox, '-', '+')).map(([, [, json = '']]) => unpackEvent(json).type);
}

it('a file that two workers could not fetch counts as one attempt', async () => {
  const request = emailRequest.parse({ from: 'a@x.co', to: 'b@x.co', subject: 's', text: 't' });
  const id = makeId('em', Date.now(), randomBytes(10));
  const email = acceptEmail(request, { id, keyId: 'k', now: Date.now() });
  await emails.create([{ email, claim: null }], { batchClaim: null, isStrict: true, now: Date.now() });
  const stored = (await emails.read(id)) as StoredEmail;
  const fault: SettledOutcome = { kind: 'fetch_fault', detail: 'late', loggable: 'late', isFinal: false };
  // At another time, as a commit of the very same state would be taken for a repeat of the first.
  const later = () => Date.now() + 1_000;
  const both = await Promise.all([settleIt(stored, fault, 'at_1'), settleIt(stored, fault, 'at_2', later)]);
  expect(both.toSorted()).toEqual([false, true]);
  expect((await emails.read(id))?.state.recipients[0]).toMatchObject({ status: 'deferred', attempts: 1 });
});

const unknown: SettledOutcome = { kind: 'unknown', transport: 'smtp', detail: 'the worker stopped', refused: [] };
const deferred: SettledOutcome = {
  kind: 'answered',
  transport: 'smtp',
  replies: [{ address: 'b@x.co', smtp: { code: 451, enhanced: null, reply: '451 Later' } }],
};

it.each(['retry', 'hold'] as const)(
  'a hand-over that two workers find unknown is counted once (on_unknown: %s)',
  async (policy) => {
    const email = await handedOver(policy);
    await Promise.all([settleIt(email, unknown), settleIt(email, unknown)]);
    await settleIt(email, unknown);
    expect(await told()).toEqual(['email.queued', 'email.outcome_unknown']);
    expect((await emails.read(email.facts.id))?.state.recipients[0]?.attempts).toBe(1);
  },
);

it.each(['retry', 'hold'] as const)(
  'a worker with an old copy of the email does not settle an answered hand-over as unknown (on_unknown: %s)',
  async (policy) => {
    const email = await handedOver(policy);
    await settleIt({ ...email, handOver: null }, deferred);
    await settleIt(email, unknown);
    expect(await told()).toEqual(['email.queued', 'email.delivery_delayed']);
    expect((await emails.read(email.facts.id))?.state.recipients[0]).toMatchObject({ status: 'deferred', attempts: 1 });
  },
);

const nothingHandedOver: Record<string, SettledOutcome> = {
  'found the connection refused': { kind: 'transport_fault', cause: 'connect', transport: 'smtp', detail: 'refused' },
  'had its recipient refused for now': deferred,
  'found its recipient suppressed': { kind: 'suppressed', recipients: [{ address: 'b@x.co', reason: 'bounce' }] },
  'found it expired': { kind: 'expired', why: null },
};

it.each(Object.keys(nothingHandedOver))(
  'an attempt that %s does not change or end the hand-over that another attempt began since',
  async (what) => {
    const email = await handedOver('retry');
    await settleIt({ ...email, handOver: null }, nothingHandedOver[what] as SettledOutcome, 'at_2');
    expect(await told()).toEqual(['email.queued']);
    expect(await emails.read(email.facts.id)).toEqual(email);
    const third = { at: 3, transport: 'smtp', attemptId: 'at_3', job: 'jb_3' };
    expect(await emails.claimHandOver(email, third)).toBe(false);
    const smtp = { code: 250, enhanced: null, reply: '250 Ok' };
    await settleIt(email, { kind: 'answered', transport: 'smtp', replies: [{ address: 'b@x.co', smtp }] });
    expect(await told()).toEqual(['email.queued', 'email.sent']);
  },
);

it.each([
  ['retry', 250, 'sent'],
  ['hold', 250, 'sent'],
  ['hold', 550, 'bounced'],
] as const)(
  'an answer counts also when the hand-over was settled as unknown before (on_unknown: %s, %d)',
  async (policy, code, status) => {
    const email = await handedOver(policy);
    await settleIt(email, unknown);
    const smtp = { code, enhanced: null, reply: `${code} So` };
    await settleIt(email, { kind: 'answered', transport: 'smtp', replies: [{ address: 'b@x.co', smtp }] });
    expect(await told()).toEqual(['email.queued', 'email.outcome_unknown', `email.${status}`]);
    expect((await emails.read(email.facts.id))?.state.recipients[0]).toMatchObject({
      ...{ status, smtp, nextAttemptAt: null, attempts: 1 },
    });
  },
);

it('the record keeps why an attempt got no answer', async () => {
  const email = await handedOver('retry');
  await settleIt(email, unknown);
  expect((await emails.read(email.facts.id))?.state.recipients[0]?.unanswered).toBe('the worker stopped');
});

it('a late answer that asks to try again does not change the outcome of a newer attempt', async () => {
  const email = await handedOver('retry');
  await settleIt(email, unknown);
  const again = (await emails.read(email.facts.id)) ?? expect.fail('it is gone');
  await settleIt(again, deferred, 'at_2');
  const before = (await emails.read(email.facts.id))?.state;
  expect(before?.recipients[0]).toMatchObject({ status: 'deferred', attempts: 2 });
  await settleIt(email, deferred);
  expect((await emails.read(email.facts.id))?.state).toEqual(before);
});

it('a held recipient stays held when the late answer asks to try again', async () => {
  const email = await handedOver('hold');
  await settleIt(email, unknown);
  await settleIt(email, deferred);
  expect(await told()).toEqual(['email.queued', 'email.outcome_unknown']);
  expect((await emails.read(email.facts.id))?.state.recipients[0]?.status).toBe('outcome_unknown');
});
