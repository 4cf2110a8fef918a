/** deliver: of a job of several emails each goes its own way, whatever another of them waits for, and heavy ones come into memory by turns. */
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { acceptEmail, type StoredEmail, shownRecipients } from '../../src/domain/email.ts';
import { done } from '../../src/domain/outcome.ts';
import type { Dispatched, Outgoing } from '../../src/pipeline/dispatch.ts';
import { openEmails } from '../../src/store/emails.ts';
import { keys } from '../../src/store/keys.ts';
import { deliveringOver, handOver, newId } from '../support/deliver.ts';
import { makeGate } from '../support/gate.ts';
import { emailRequest } from '../support/requests.ts';
import { until } from '../support/until.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
useTestRedis((server) => {
  redis = server.connect();
});

const { accept, run, marks } = deliveringOver(() => redis);

it('an email whose campaign is canceled is canceled, not sent; while that is not possible yet, it is looked at again', async () => {
  const [ended, busy] = [await accept('a@x.co', 't', 'cp_1'), await accept('b@x.co', 't', 'cp_1')];
  const sent: string[] = [];
  const dispatch = async ({ email }: Outgoing): Promise<Dispatched> => {
    sent.push(email.facts.id);
    return { kind: 'withheld' };
  };
  const more = {
    campaigns: { stopped: async () => ({ kind: 'canceled' }) as const },
    callOff: async (id: string) => id === ended,
  };
  expect(await run([ended, busy], dispatch, undefined, more)).toEqual(done);
  expect(sent).toEqual([]);
  expect(await marks()).toEqual([busy]);
});

/** Whose content was read, in order, up to now. */
async function readContents(seen: readonly string[][]): Promise<string[]> {
  const mark = randomBytes(8).toString('hex');
  await redis.echo(mark);
  await until('it to be seen', () => seen.some(([, word]) => word === mark));
  const reads = seen.filter(([name = '', key]) => name.toUpperCase() === 'GET' && key?.includes(':content:'));
  return reads.map(([, key = '']) => key.slice(key.lastIndexOf(':') + 1));
}

it('an attempt concerns only recipients that are due, from its message to the outcome of a hand-over that was left open', async () => {
  const emails = openEmails(redis);
  const id = await accept(['now@x.co', 'slow@sandbox.invalid', 'later@x.co', 'delivered@sandbox.invalid']);
  const waits = { status: 'deferred', attempts: 1, nextAttemptAt: Date.now() + 3_600_000 } as const;
  const stored = (await emails.load(id)) as StoredEmail;
  const waitFor = async (email: StoredEmail, ...places: number[]) => {
    const recipients = email.state.recipients.map((one, n) => (places.includes(n) ? { ...one, ...waits } : one));
    const after = { state: { ...email.state, recipients }, events: [], step: null, suppressions: [] };
    expect(await emails.commit(email, after, email.handOver?.attemptId ?? '', Date.now())).toBe(true);
  };
  /** Hands it over and dies; then the same job runs again. */
  const attempt = async () => {
    const seen = { settled: new Map<string, unknown>(), troubles: [] };
    const envelopes: unknown[] = [];
    const dispatch = async ({ message, claim, isSandbox }: Outgoing): Promise<Dispatched> => {
      const made = await message('t');
      if ('raw' in made) envelopes.push(made.envelope.to);
      expect(await claim(isSandbox ? 'sandbox' : 't')).toBe(true);
      return { kind: 'withheld' };
    };
    await run([id], dispatch, seen);
    const email = (await emails.load(id)) as StoredEmail;
    const shown = shownRecipients(email).map(({ status }) => status);
    await run([id], dispatch, seen, { now: () => Date.now() + 7_200_000 });
    expect(seen.troubles).toEqual([]);
    return { email, shown, envelopes, settled: seen.settled.get(id) };
  };

  await waitFor(stored, 2, 3);
  const near = await attempt();
  expect(near).toMatchObject({
    envelopes: [['slow@sandbox.invalid']],
    shown: ['queued', 'sending', 'deferred', 'deferred'],
    settled: { kind: 'answered', replies: [{ address: 'slow@sandbox.invalid' }] },
  });
  await waitFor(near.email, 1, 2, 3);
  const away = await attempt();
  expect(away).toMatchObject({
    envelopes: [['now@x.co']],
    shown: ['sending', 'deferred', 'deferred', 'deferred'],
    settled: { kind: 'unknown', to: ['now@x.co'] },
  });
});

it('an attempt that goes to some of its recipients alone says nothing of the others, also when its worker dies', async () => {
  const id = await accept(['delivered@sandbox.invalid', 'bounced@sandbox.invalid', 'later@x.co']);
  const to = ['delivered@sandbox.invalid'];
  const seen = { settled: new Map<string, unknown>(), troubles: [] };
  const answered = { kind: 'answered', transport: 't', replies: [], to } as const;
  const goToOne = async ({ claim }: Outgoing): Promise<Dispatched> => {
    expect(await claim('t', to)).toBe(true);
    return answered;
  };
  await run([id], goToOne, seen);
  expect(seen.settled.get(id)).toEqual(answered);
  expect((await openEmails(redis).load(id))?.handOver).toMatchObject({ to });
  await run([id], goToOne, seen);
  expect(seen.settled.get(id)).toMatchObject({ kind: 'unknown', to });
});

it('a fault of the transport does not change the wait of recipients outside the attempt', async () => {
  const [all, some] = [await accept(['a@x.co', 'b@x.co']), await accept(['a@x.co', 'b@sandbox.invalid'])];
  const fault = { kind: 'transport_fault', transport: 't', cause: 'connect', detail: 'down' } as const;
  const seen = { settled: new Map<string, unknown>(), troubles: [] };
  await run([all, some], async () => fault, seen);
  expect(seen.settled.get(all)).toEqual(fault);
  expect(seen.settled.get(some)).toEqual({ ...fault, to: ['b@sandbox.invalid'] });
});

it('a heavy letter is read when there is room for it, and all emails of its job are sent', async () => {
  const heavy = await Promise.all(['a@x.co', 'b@x.co', 'c@x.co'].map((to) => accept(to, to.repeat(50_000))));
  const light = await accept('d@x.co');
  const monitor = await redis.monitor();
  const seen: string[][] = [];
  monitor.on('monitor', (_at: string, command: string[]) => seen.push(command));
  const gate = makeGate();
  const sent = new Map<string, number>();
  const job = run([...heavy, light], async (parcel) => {
    const message = await parcel.message('t');
    if ('raw' in message) sent.set(parcel.email.facts.id, message.raw.length);
    if (parcel.email.facts.id !== light) await gate.pass();
    return { kind: 'withheld' };
  });
  await until('the first to be in hand', () => gate.held.length === 1);
  for (const n of [0, 1, 2]) {
    await until(`heavy letter ${n} to be in hand`, () => sent.has(heavy[n] ?? ''));
    expect(await readContents(seen)).toEqual([light, ...heavy.slice(0, n + 1)]);
    await until('it to be held', () => gate.held.length === 1);
    gate.letThrough();
  }
  expect(await job).toEqual(done);
  expect(Object.fromEntries(sent)).toEqual(Object.fromEntries([...heavy.map((id) => [id, 300_000]), [light, 1]]));
  monitor.disconnect();
});

it.each([
  ['of a form that is not known', Buffer.from([9, 9, 9])],
  ['that is damaged', Buffer.from([1, 9, 9])],
  ['that was cut off', Buffer.from([0, 0, 0])],
  ['that is heavy and damaged', Buffer.concat([Buffer.from([2, 0, 0, 0, 9]), Buffer.from([1, 9, 9])])],
])('one content %s fails its own email, and no other of the job', async (_, bytes) => {
  const [bad, good] = [await accept('a@x.co'), await accept('b@x.co')];
  await redis.set(keys.content(bad), bytes);
  const seen = { settled: new Map<string, unknown>(), troubles: [] };
  expect(await run([bad, good], handOver, seen)).toEqual(done);
  expect(seen.settled.get(bad)).toEqual({
    kind: 'undeliverable',
    transport: 't',
    detail: 'its content cannot be read',
    isUnmade: true,
  });
  expect(seen.settled.get(good)).toMatchObject({ kind: 'answered' });
  expect(seen.troubles).toEqual([]);
  expect(await openEmails(redis).load(bad)).toMatchObject({ facts: { id: bad }, content: null });
});

it('an email whose letter Redis cannot return now is tried again, not failed for its content', async () => {
  const letter = 'a letter of several '.repeat(100);
  const request = emailRequest.parse({ from: 'a@x.co', to: 'b@x.co', subject: 's', text: letter });
  const emails = [0, 1].map(() => acceptEmail(request, { id: newId('em'), keyId: 'k', now: Date.now() }));
  const created = emails.map((email) => ({ email, claim: null }));
  await openEmails(redis).create(created, { batchClaim: null, isStrict: true, now: Date.now() });
  const [file = ''] = await redis.keys(keys.file('*'));
  await redis.del(file);
  await redis.lpush(file, 'no letter');
  const [id = ''] = emails.map(({ facts }) => facts.id);
  await expect(openEmails(redis).load(id)).rejects.toThrow(/WRONGTYPE/);
});

it('a record that cannot be read is reported and looked at again, and the other emails of its job are sent', async () => {
  const [bad, good] = [await accept('a@x.co'), await accept('b@x.co')];
  await redis.hset(keys.email(bad), 'state', '{"to":');
  const seen = { settled: new Map<string, unknown>(), troubles: [] };
  expect(await run([bad, good], handOver, seen)).toEqual(done);
  expect([...seen.settled.keys()]).toEqual([good]);
  expect(seen.troubles).toEqual([bad]);
  expect(await marks()).toEqual([bad]);
});
