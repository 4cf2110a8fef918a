/** Emails with a clock of the test's own, brought to an end one way or another, and everything Redis holds of them. */
import { randomBytes } from 'node:crypto';
import { acceptEmail, type StoredEmail } from '../../src/domain/email.ts';
import { makeId } from '../../src/domain/id.ts';
import type { Change, SettledOutcome } from '../../src/domain/outcome.ts';
import { type Changed, settle, settleChange } from '../../src/pipeline/settle.ts';
import { sweepEmails } from '../../src/pipeline/sweep-emails.ts';
import { openEmails } from '../../src/store/emails.ts';
import { keys } from '../../src/store/keys.ts';
import { openRetention } from '../../src/store/retention.ts';
import type { TestRedis } from './redis.ts';
import { emailRequest } from './requests.ts';

const second = 1_000;
const policy = { scheduleMs: [second], maxAgeMs: 365 * 86_400 * second };
const reply = (code: number, words = 'Words'): SettledOutcome => ({
  kind: 'answered',
  transport: 'smtp',
  replies: [{ address: 'b@x.co', smtp: { code, enhanced: null, reply: `${code} ${words}` } }],
});

/** How an attempt may turn out. */
export const outcomes = {
  sent: reply(250),
  bounced: reply(552, 'Mailbox is full'),
  deferred: reply(451),
  failed: { kind: 'undeliverable', transport: 'smtp', detail: 'it is too long' },
  unreachable: { kind: 'transport_fault', cause: 'connect', transport: 'smtp', detail: 'connection refused' },
  held: { kind: 'unknown', transport: 'smtp', detail: 'the worker stopped', refused: [] },
} as const satisfies Record<string, SettledOutcome>;

/** @param server that nobody else uses */
export function openKeepsakes(server: TestRedis, keepMs = { content: 3_600 * second, record: 7 * 86_400 * second }) {
  const redis = server.connect();
  const emails = openEmails(redis);
  const retention = openRetention(redis);
  // Years before that of Redis, which no end may be ahead of.
  let clock = Date.parse('2016-11-01T00:00:00.500Z');
  const deps = { emails, report: () => {}, now: () => clock };
  const newId = <P extends 'em' | 'ch' | 'sp'>(prefix: P) => makeId(prefix, clock, randomBytes(10));
  const settling = { ...deps, policies: { transactional: policy, bulk: policy }, newId, rand: () => 0 };

  async function read(id: string): Promise<StoredEmail> {
    const email = await emails.read(id);
    if (email === null) throw new Error(`${id} is gone`);
    return email;
  }

  return {
    redis,
    emails,
    retention,
    keepMs,
    now: () => clock,
    pass(ms: number): void {
      clock += ms;
    },

    /** One for each, in one batch, taken by a feeder at once. @returns their ids */
    async create(given: readonly object[]): Promise<string[]> {
      const submissions = given.map((one) => {
        const request = emailRequest.parse({ from: 'a@x.co', to: 'b@x.co', subject: 's', text: 't', ...one });
        return { email: acceptEmail(request, { id: newId('em'), keyId: 'k', now: clock }), claim: null };
      });
      await emails.create(submissions, { batchClaim: null, isStrict: true, now: clock });
      await redis.del(keys.due('transactional'));
      return submissions.map(({ email }) => email.facts.id);
    },

    async attempt(id: string, as: keyof typeof outcomes): Promise<void> {
      await settle(settling, await read(id), outcomes[as], '');
    },

    async change(id: string, change: Change): Promise<Changed> {
      return settleChange({ ...deps, newId }, await read(id), change);
    },

    /** What one pass of a worker removes. */
    async forget(): Promise<{ contents: number; records: number }> {
      let forgotten = { contents: 0, records: 0 };
      const report = (told: typeof forgotten) => {
        forgotten = told;
      };
      await sweepEmails({ emails, retention, keepMs, report, now: () => clock }, new AbortController().signal);
      return forgotten;
    },

    /** Every key that belongs to some email, in order. */
    async keysOfEmails(): Promise<string[]> {
      const all = await redis.keys('*');
      return all
        .filter((key) => [keys.email(''), keys.content(''), keys.file('')].some((of) => key.startsWith(of)))
        .sort();
    },

    [Symbol.asyncDispose]: async () => redis.disconnect(),
  };
}

export type Keepsakes = ReturnType<typeof openKeepsakes>;
