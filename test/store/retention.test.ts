/** Retention: of emails that ended, content and record go when their time is over, and everything that hangs on them; nothing else goes. */
import { expect, it } from 'vitest';
import { sweepEmails } from '../../src/pipeline/sweep-emails.ts';
import { packEnd } from '../../src/store/end.ts';
import { keys } from '../../src/store/keys.ts';
import { type Keepsakes, openKeepsakes } from '../support/keepsakes.ts';
import { useTestRedis } from '../support/use-redis.ts';

let world: Keepsakes;
useTestRedis((server, opened) => {
  world = opened.use(openKeepsakes(server));
});

const hour = 3_600_000;
const day = 24 * hour;
const none = { contents: 0, records: 0 };
const file = (text: string) => ({ filename: 'f', content: Buffer.from(text).toString('base64') });
const long = 'A letter that several have in common. '.repeat(40);

/** As many round trips later. */
async function later(trips: number): Promise<void> {
  for (let n = 0; n < trips; n++) await world.redis.ping();
}

async function createOne(given: object = {}): Promise<string> {
  const [id = ''] = await world.create([given]);
  return id;
}

it('the content goes an hour after the email ended, and its record a week after', async () => {
  const id = await createOne({ tags: [{ name: 'kind', value: 'receipt' }], external_id: 'order-1' });
  world.pass(30 * day);
  expect(await world.forget()).toEqual(none);
  await world.attempt(id, 'sent');
  world.pass(hour);
  expect(await world.forget()).toEqual(none);
  world.pass(500);
  expect(await world.forget()).toEqual({ contents: 1, records: 0 });
  expect(await world.emails.load(id)).toMatchObject({ facts: { id, externalId: 'order-1' }, content: null });
  expect((await world.emails.timeline(id)).steps).toHaveLength(1);
  world.pass(7 * day - hour - 1);
  expect(await world.forget()).toEqual(none);
  expect(await world.redis.zcard(keys.emailIndex)).toBe(6);
  world.pass(1);
  expect(await world.forget()).toEqual({ contents: 0, records: 1 });
  expect(await world.emails.load(id)).toBeNull();
  expect((await world.redis.keys('*')).sort()).toEqual([keys.bell, keys.outbox]);
});

it('an ended email is removed in its time also when a second job of it met trouble of the transport', async () => {
  const id = await createOne();
  await world.attempt(id, 'sent');
  await world.attempt(id, 'unreachable');
  world.pass(8 * day);
  expect(await world.forget()).toEqual({ contents: 1, records: 1 });
  expect(await world.keysOfEmails()).toEqual([]);
});

it('a record that cannot be read is removed in its time, and holds up none after it', async () => {
  const ids = [await createOne(), await createOne()];
  for (const id of ids) await world.attempt(id, 'sent');
  world.pass(7 * day);
  await world.redis.hset(keys.email(ids[0] ?? ''), 'facts', '{"from":');
  expect(await world.forget()).toEqual({ contents: 2, records: 2 });
  expect(await world.redis.keys(keys.email('*'))).toEqual([]);
});

it('an end from a clock that is ahead holds up nothing: it counts from then on, like all after it', async () => {
  const [before, far] = [world.now(), 30 * 365 * day];
  const ids = [await createOne(), await createOne()];
  world.pass(far);
  await world.attempt(ids[0] ?? '', 'sent');
  world.pass(-far);
  await world.attempt(ids[1] ?? '', 'sent');
  world.pass(Date.now() - before + hour + 2_000);
  expect(await world.forget()).toEqual({ contents: 2, records: 0 });
  world.pass(7 * day);
  expect(await world.forget()).toEqual({ contents: 0, records: 2 });
  world.pass(before - world.now());
});

it('ends from before the clock of Redis was put back hold up nothing behind them, and go in their time', async () => {
  const ids = [await createOne(), await createOne(), await createOne()];
  for (const id of ids) await world.attempt(id, 'sent');
  const [before, ahead] = [world.now(), Date.now() + 30 * day];
  for (const [n, id] of ids.slice(0, 2).entries())
    await world.redis.lset(keys.ended, n, packEnd({ id, at: ahead, version: 2 }));
  world.pass(2 * hour);
  expect(await world.forget()).toEqual({ contents: 1, records: 0 });
  expect(await world.forget()).toEqual(none);
  world.pass(Date.now() - world.now() + hour + 2_000);
  expect(await world.forget()).toEqual({ contents: 2, records: 1 });
  world.pass(before - world.now());
});

it.each(['deferred', 'held'] as const)('an email that is %s keeps everything, however long that takes', async (as) => {
  const id = await createOne({ on_unknown: 'hold', attachments: [file('a')] });
  await world.attempt(id, as);
  world.pass(300 * day);
  expect(await world.forget()).toEqual(none);
  expect((await world.emails.load(id))?.content).not.toBeNull();
});

it('an email whose recipients did not all end keeps everything', async () => {
  const id = await createOne({ cc: 'c@x.co' });
  await world.attempt(id, 'sent');
  world.pass(300 * day);
  expect(await world.forget()).toEqual(none);
});

it('the time counts from the last change: a retried email that failed again is kept for the whole time again', async () => {
  const id = await createOne();
  await world.attempt(id, 'failed');
  world.pass(0.9 * hour);
  expect(await world.change(id, { kind: 'retried' })).toMatchObject({ kind: 'changed' });
  world.pass(0.9 * hour);
  expect(await world.forget()).toEqual(none);
  await world.attempt(id, 'failed');
  world.pass(0.9 * hour);
  expect(await world.forget()).toEqual(none);
  world.pass(0.2 * hour);
  expect(await world.forget()).toEqual({ contents: 1, records: 0 });
});

it('an email that has lost its content is not sent again, and says why', async () => {
  const id = await createOne();
  await world.attempt(id, 'failed');
  world.pass(2 * hour);
  await world.forget();
  const refused = 'its content has been dropped (RETENTION_CONTENT)';
  expect(await world.change(id, { kind: 'retried' })).toMatchObject({ kind: 'refused', refused });
  expect(await world.redis.exists(keys.due('transactional'))).toBe(0);
});

it('when a retry and the drop of the content race, one wins', async () => {
  const winners = new Set<string>();
  for (let round = 0; round < 60; round++) {
    const id = await createOne();
    await world.attempt(id, 'failed');
    world.pass(2 * hour);
    const retry = () => world.change(id, { kind: 'retried' });
    // Each is a read and then a write: they are let meet in different steps.
    const [changed] = await Promise.all([later(round % 4).then(retry), later(round % 3).then(world.forget)]);
    const email = await world.emails.load(id);
    expect(email?.content === null).toBe(changed.kind === 'refused');
    winners.add(changed.kind);
  }
  expect(winners).toEqual(new Set(['changed', 'refused']));
});

it('a file, or a letter, that several emails have stays until the last of them lets it go', async () => {
  const [first = '', second = ''] = await world.create([
    { attachments: [file('shared'), file('own')], text: long },
    { attachments: [file('shared')], text: long },
  ]);
  expect(await world.redis.hlen(keys.fileUses)).toBe(3);
  await world.attempt(first, 'sent');
  world.pass(2 * hour);
  expect(await world.forget()).toEqual({ contents: 1, records: 0 });
  expect(Object.values(await world.redis.hgetall(keys.fileUses))).toEqual(['1', '1']);
  const left = await world.emails.load(second);
  expect(left?.content?.text).toBe(long);
  await world.attempt(second, 'sent');
  world.pass(2 * hour);
  await world.forget();
  expect(await world.redis.keys(keys.file('*'))).toEqual([]);
  expect(await world.redis.exists(keys.fileUses)).toBe(0);
});

it('files that were fetched go with the content they were fetched for', async () => {
  const id = await createOne({ attachments: [{ filename: 'f', path: 'https://a.example/f' }, file('given')] });
  const email = await world.emails.load(id);
  if (email?.content == null) throw new Error('it has no content');
  const bytes = Buffer.from('fetched');
  const source = { kind: 'file', hash: 'x'.repeat(43), bytes: bytes.length } as const;
  const whole = { ...email.content, attachments: email.content.attachments.map((one) => ({ ...one, source })) };
  await world.emails.keepFiles(email, whole, new Map([[source.hash, bytes]]));
  expect(await world.redis.keys(keys.file('*'))).toHaveLength(2);
  await world.attempt(id, 'sent');
  // Whoever fetched while somebody else ended it keeps nothing.
  await world.emails.keepFiles(email, email.content, new Map([['y'.repeat(43), bytes]]));
  expect(await world.redis.keys(keys.file('*'))).toHaveLength(2);
  world.pass(2 * hour);
  await world.forget();
  expect(await world.redis.keys(keys.file('*'))).toEqual([]);
  expect(await world.redis.exists(keys.fileUses)).toBe(0);
});

it('three workers at once remove each of a thousand emails once', async () => {
  const all = await world.create(Array.from({ length: 1_000 }, () => ({ attachments: [file('shared')] })));
  await Promise.all(all.map((id) => world.attempt(id, 'sent')));
  world.pass(8 * day);
  const passes = [await Promise.all([world.forget(), world.forget(), world.forget()]), [await world.forget()]].flat();
  const sum = (of: 'contents' | 'records') => passes.reduce((total, pass) => total + pass[of], 0);
  expect([sum('contents'), sum('records')]).toEqual([1_000, 1_000]);
  expect(await world.keysOfEmails()).toEqual([]);
  expect(await world.redis.exists(keys.ended, keys.emptied, keys.emailIndex, keys.fileUses)).toBe(0);
});

it('removals make room in a full Redis', async () => {
  const all = await world.create(
    Array.from({ length: 200 }, (_, n) => ({ attachments: [file(String(n).repeat(2_000))] })),
  );
  await Promise.all(all.map((id) => world.attempt(id, 'sent')));
  world.pass(2 * hour);
  await world.redis.config('SET', 'maxmemory', '1');
  try {
    await expect(world.redis.set('more', 'x')).rejects.toThrow('OOM');
    expect(await world.forget()).toEqual({ contents: 200, records: 0 });
  } finally {
    await world.redis.config('SET', 'maxmemory', '0');
  }
});

it('a stop ends it between two steps', async () => {
  const all = await world.create(Array.from({ length: 250 }, () => ({})));
  await Promise.all(all.map((id) => world.attempt(id, 'sent')));
  world.pass(2 * hour);
  const stop = new AbortController();
  const { dropContents, dropRecords } = world.retention;
  const stopping = {
    dropRecords,
    dropContents(before: number) {
      stop.abort();
      return dropContents(before);
    },
  };
  let told = none;
  const report = (forgotten: typeof none) => {
    told = forgotten;
  };
  await sweepEmails(
    { emails: world.emails, retention: stopping, keepMs: world.keepMs, report, now: world.now },
    stop.signal,
  );
  expect(told).toEqual({ contents: 100, records: 0 });
});
