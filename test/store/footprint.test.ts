/** What a finished email takes in Redis: its record, its postings and the note of its end, content and outbox apart, stay within 1.5 KB. */
import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { decide } from '../../src/domain/decide.ts';
import { acceptEmail } from '../../src/domain/email.ts';
import { makeId } from '../../src/domain/id.ts';
import type { SettledOutcome } from '../../src/domain/outcome.ts';
import { stepOf } from '../../src/domain/timeline.ts';
import { openEmails } from '../../src/store/emails.ts';
import { keys } from '../../src/store/keys.ts';
import { openTestRedis } from '../support/redis.ts';
import { emailRequest } from '../support/requests.ts';

const count = 2_000;
/** Emails made at once. */
const group = 100;
const budget = 1_536;
const policy = { scheduleMs: [10_000], maxAgeMs: 3_600_000 };

it('a finished email with one recipient and one tag takes 1.5 KB at most', async () => {
  await using server = await openTestRedis();
  const redis = server.connect();
  const emails = openEmails(redis);
  /** @returns what its record takes, bytes */
  const finish = async (n: number): Promise<number> => {
    const now = Date.now();
    const request = emailRequest.parse({
      from: 'Example Shop <orders@shop.example.com>',
      to: `Customer Number ${n} <customer.${n}@example.org>`,
      subject: `Your receipt for order ${n} is here`,
      text: 'Thank you.',
      tags: [{ name: 'category', value: 'receipt' }],
    });
    const id = makeId('em', now, randomBytes(10));
    const email = acceptEmail(request, { id, keyId: 'admin', now });
    await emails.create([{ email, claim: null }], { batchClaim: null, isStrict: true, now });
    const stored = { facts: email.facts, state: email.state, version: 1, handOver: null };
    const attemptId = makeId('at', now, randomBytes(10));
    await emails.claimHandOver(stored, {
      at: now,
      transport: 'default',
      attemptId,
      job: makeId('jb', now, randomBytes(10)),
    });
    const smtp = { code: 250, enhanced: '2.0.0', reply: `250 2.0.0 Ok: queued as 4ZyXwV${n}` };
    const outcome: SettledOutcome = {
      kind: 'answered',
      transport: 'default',
      replies: [{ address: `customer.${n}@example.org`, smtp }],
      trace: { host: 'smtp.example.com:587', tls: 'TLSv1.3', ms: { connect: 12, envelope: 3, body: 45 } },
    };
    const { state, events } = decide(stored, outcome, policy, now, 0);
    await emails.commit(stored, { state, events, step: stepOf(outcome, stored.state, events, now) }, attemptId, now);
    return Number(await redis.memory('USAGE', keys.email(id), 'SAMPLES', 0));
  };
  let recordBytes = 0;
  for (let from = 0; from < count; from += group) {
    const records = await Promise.all(Array.from({ length: group }, (_, n) => finish(from + n)));
    recordBytes += records.reduce((sum, bytes) => sum + bytes);
  }
  const postings = await redis.zcard(keys.emailIndex);
  const indexBytes = Number(await redis.memory('USAGE', keys.emailIndex, 'SAMPLES', 0));
  const endBytes = Number(await redis.memory('USAGE', keys.ended, 'SAMPLES', 0));
  const perEmail = { record: recordBytes / count, postings: indexBytes / count, end: endBytes / count };
  console.log(
    `a finished email: record ${Math.round(perEmail.record)} bytes, ${postings / count} postings of ${Math.round(indexBytes / postings)} bytes, its end ${Math.round(perEmail.end)} bytes`,
  );
  expect(postings).toBe(5 * count);
  expect(await redis.llen(keys.ended)).toBe(count);
  expect(perEmail.record + perEmail.postings + perEmail.end).toBeLessThanOrEqual(budget);
});
