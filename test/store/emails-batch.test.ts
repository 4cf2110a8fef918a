/** Many emails in one step: all or none, each key with what it stands for, each file once, and the same answer to a command sent again. */
import { randomBytes } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { acceptEmail } from '../../src/domain/email.ts';
import { makeId } from '../../src/domain/id.ts';
import { clashMark } from '../../src/domain/idempotency.ts';
import { accept } from '../../src/pipeline/accept.ts';
import { type Emails, openEmails } from '../../src/store/emails.ts';
import { keys } from '../../src/store/keys.ts';
import { emailRequest } from '../support/requests.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
let emails: Emails;
useTestRedis((server) => {
  redis = server.connect();
  emails = openEmails(redis);
});

const good = { from: 'a@x.co', to: 'b@x.co', subject: 's', text: 't' };
const file = (text: string) => ({ filename: 'f', content: Buffer.from(text).toString('base64') });
const newId = (prefix: 'em') => makeId(prefix, Date.now(), randomBytes(10));

function submission(given: object = {}, claim: { scope: string; bodyHash: string } | null = null) {
  const request = emailRequest.parse({ ...good, ...given });
  return { email: acceptEmail(request, { id: newId('em'), keyId: 'k', now: Date.now() }), claim };
}

const options = (bodyHash: string | null = null, isStrict = true) => ({
  batchClaim: bodyHash === null ? null : { scope: 'batch', bodyHash },
  isStrict,
  now: Date.now(),
});

async function countStored() {
  const count = async (pattern: string) => (await redis.keys(pattern)).length;
  return {
    emails: await count(keys.email('*')),
    contents: await count(keys.content('*')),
    files: await count(keys.file('*')),
    claims: await count(keys.idempotency('*')),
    marks: await redis.zcard(keys.due('transactional')),
    events: await redis.xlen(keys.outbox),
    postings: await redis.zcard(keys.emailIndex),
    uses: Object.values(await redis.hgetall(keys.fileUses)).map(Number),
  };
}
const nothing = { emails: 0, contents: 0, files: 0, claims: 0, marks: 0, events: 0, postings: 0, uses: [] };

it('a thousand emails with one file are stored with one file, used a thousand times', async () => {
  const request = emailRequest.parse({ ...good, attachments: [file('shared')] });
  const all = Array.from({ length: 1_000 }, () => ({
    email: acceptEmail(request, { id: newId('em'), keyId: 'k', now: 1 }),
    claim: null,
  }));
  expect((await emails.create(all, options())).kind).toBe('stored');
  const stored = await countStored();
  expect(stored).toMatchObject({ emails: 1_000, contents: 1_000, files: 1, marks: 1_000, events: 1_000 });
  expect(stored.uses).toEqual([1_000]);
  const [only] = all;
  expect((await emails.load(only?.email.facts.id ?? ''))?.content).toEqual(only?.email.content);
});

it('an email that comes while a batch is packed does not wait until all of it is', async () => {
  const batch = emails.create(
    Array.from({ length: 1_000 }, () => submission()),
    options(),
  );
  await nextTurn();
  const alone = submission();
  await Promise.all([batch, emails.create([alone], options())]);
  const [[, first] = []] = await redis.xrange(keys.outbox, '-', '+', 'COUNT', 1);
  expect(first?.[1]).toContain(alone.email.facts.id);
});

it('a batch as large as it may be, each email with 50 recipients and 50 tags, is one command like any other', async () => {
  const to = Array.from({ length: 50 }, (_, n) => `r${n}@x.co`);
  const tags = Array.from({ length: 50 }, (_, n) => ({ name: `t${n}`, value: 'v' }));
  const request = emailRequest.parse({ ...good, to, tags, external_id: 'e' });
  const all = Array.from({ length: 1_000 }, (_, n) => ({
    email: acceptEmail(request, { id: newId('em'), keyId: 'k', now: 1 }),
    claim: { scope: `s${n}`, bodyHash: 'h' },
  }));
  expect((await emails.create(all, options('h'))).kind).toBe('stored');
  expect(await countStored()).toMatchObject({ emails: 1_000, claims: 1_001, postings: 104_000 });
});

it('a strict batch with one key that belongs to another body stores nothing and leaves every key free', async () => {
  await emails.create([submission({}, { scope: 'one', bodyHash: 'other' })], options());
  const before = await countStored();
  const batch = [submission(), submission({ attachments: [file('new')] }, { scope: 'one', bodyHash: 'mine' })];
  expect(await emails.create(batch, options('h'))).toMatchObject({
    kind: 'refused',
    met: [null, { bodyHash: 'other' }],
  });
  expect(await countStored()).toEqual(before);
});

it('a permissive batch stores what it can; emails stored before keep their ids; files of emails not stored are removed', async () => {
  const first = submission({}, { scope: 'one', bodyHash: 'h' });
  await emails.create([first, submission({}, { scope: 'two', bodyHash: 'other' })], options());
  const batch = [
    submission({ attachments: [file('repeated')] }, { scope: 'one', bodyHash: 'h' }),
    null,
    submission({ attachments: [file('clash')] }, { scope: 'two', bodyHash: 'h' }),
    submission({ attachments: [file('new')] }, { scope: 'three', bodyHash: 'h' }),
  ];
  const created = await emails.create(batch, options('b', false));
  const firstId = first.email.facts.id;
  expect(created).toMatchObject({ kind: 'stored', met: [{ ids: [firstId] }, null, { bodyHash: 'other' }, null] });
  expect(await countStored()).toMatchObject({ emails: 3, files: 1, uses: [1], claims: 4 });
  // The key of the batch answers for each place: the earlier email, nothing for what was refused, what clashed, and the new one.
  expect(await emails.create(batch, options('b', false))).toEqual({
    kind: 'repeated',
    prior: { bodyHash: 'b', ids: [firstId, '', clashMark, batch[3]?.email.facts.id] },
  });
  // Where an id may stand there are ids alone: an earlier build takes whatever stands there for one.
  const [, ids] = (await redis.get(keys.idempotency('batch')))?.split(' ') ?? [];
  expect(ids).toBe(`${firstId},,,${batch[3]?.email.facts.id}`);
});

it('a command sent again stores nothing twice', async () => {
  const batch = [submission({ attachments: [file('f')] }), submission({}, { scope: 'one', bodyHash: 'h' })];
  await emails.create(batch, options());
  const before = await countStored();
  await emails.create(batch, options());
  expect(await countStored()).toEqual(before);
  expect(before).toMatchObject({ emails: 2, uses: [1], events: 2 });
});

it('without emails no data is left', async () => {
  await redis.flushall();
  expect(await countStored()).toEqual(nothing);
});

/** `accept` over a store whose first answer is lost on its way, so that the client sends the same command again. */
async function acceptTwice(asked: Parameters<typeof accept>[1], batchHash: string | null) {
  const repeating: Pick<Emails, 'create'> = {
    async create(...given) {
      await emails.create(...given);
      return emails.create(...given);
    },
  };
  const told: string[] = [];
  const report = (accepted: Parameters<Parameters<typeof accept>[0]['report']>[0]) =>
    told.push(...accepted.emails.map(({ facts }) => facts.id));
  const deps = { emails: repeating, report, newId, now: () => Date.now() };
  const batchClaim = batchHash === null ? null : { scope: 'batch', bodyHash: batchHash };
  const accepted = await accept(deps, asked, 'k', { batchClaim, isStrict: false, requestId: 'rq' });
  if (accepted.kind !== 'answered') throw new Error(accepted.kind);
  expect(told).toEqual(
    accepted.answers.flatMap((answer) => (answer?.kind === 'accepted' && !answer.isReplay ? [answer.id] : [])),
  );
  return accepted;
}

it.each([null, 'b'])(
  'a command sent again is answered as it was the first time (key of the batch: %s)',
  async (key) => {
    const earlier = submission({}, { scope: 'one', bodyHash: 'h' });
    await emails.create([earlier], options());
    const request = emailRequest.parse(good);
    const { answers, isReplay } = await acceptTwice(
      [{ request, claim: { scope: 'one', bodyHash: 'h' } }, null, { request, claim: null }],
      key,
    );
    const [, , last] = answers;
    const id = last?.kind === 'accepted' ? last.id : '';
    expect(answers).toEqual([
      { kind: 'accepted', id: earlier.email.facts.id, isReplay: true },
      null,
      { kind: 'accepted', id, isReplay: false },
    ]);
    expect(isReplay).toBe(false);
    expect(await emails.read(id)).not.toBeNull();
    expect(await redis.zscore(keys.due('transactional'), id)).not.toBeNull();
  },
);
