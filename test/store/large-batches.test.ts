/** Emails with many postings: no script adds or takes away more than about a thousand, and what is left in between is mended. */
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { acceptEmail } from '../../src/domain/email.ts';
import { makeId } from '../../src/domain/id.ts';
import { findIds, postingsOf, type Term } from '../../src/store/email-index.ts';
import { openEmails } from '../../src/store/emails.ts';
import { keys } from '../../src/store/keys.ts';
import { type Keepsakes, openKeepsakes } from '../support/keepsakes.ts';
import type { TestRedis } from '../support/redis.ts';
import { emailRequest } from '../support/requests.ts';
import { useTestRedis } from '../support/use-redis.ts';

let server: TestRedis;
let world: Keepsakes;
let redis: Redis;
useTestRedis((own, opened) => {
  server = own;
  world = opened.use(openKeepsakes(server));
  ({ redis } = world);
});

const day = 86_400_000;
const many = Array.from({ length: 50 }, (_, n) => `r${n}@x.co`);
const submit = (to: readonly string[] = many) => {
  const request = emailRequest.parse({ from: 'a@x.co', to, subject: 's', text: 't' });
  const id = makeId('em', world.now(), randomBytes(10));
  return { email: acceptEmail(request, { id, keyId: 'k', now: world.now() }), claim: null };
};
const some = (count: number) => Array.from({ length: count }, () => submit());
const terms = () => ({ batchClaim: { scope: 'batch', bodyHash: 'h' }, isStrict: true, now: world.now() });
const find = (...term: Term) =>
  findIds(redis, { groups: [[term]], cursor: null, createdFrom: null, createdTo: null, limit: 1_000 });

/** The most that one script has added to the index, or taken from it. */
async function watchIndex(): Promise<() => Promise<number>> {
  const monitor = await server.connect().monitor();
  let [most, current] = [0, 0];
  monitor.on('monitor', (_: string, args: string[], source: string) => {
    if (source !== 'lua') current = 0;
    const isIndex = /^Z(ADD|REM)$/i.test(args[0] ?? '') && args[1] === keys.emailIndex;
    if (isIndex) current += (args.length - 2) / (/^zadd$/i.test(args[0] ?? '') ? 2 : 1);
    most = Math.max(most, current);
  });
  return async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    monitor.on('monitor', (_: string, [name, word]: string[]) => name === 'echo' && word === 'end' && resolve());
    await redis.echo('end');
    await promise;
    monitor.disconnect();
    return most;
  };
}

/** A connection that is lost with the first script that it was answered. */
function dying(): Redis {
  const connection = server.connect();
  const send = connection.sendCommand.bind(connection);
  connection.sendCommand = ((...args: Parameters<typeof send>) => {
    const answer = send(...args) as Promise<unknown>;
    return args[0].name === 'evalsha' ? answer.finally(() => connection.disconnect()) : answer;
  }) as typeof send;
  return connection;
}

it('a large batch is found by all filters once it is answered, and none of its scripts is long', async () => {
  const most = await watchIndex();
  const batch = some(100);
  await world.emails.create(batch, terms());
  const ids = batch
    .map(({ email }) => email.facts.id)
    .toSorted()
    .toReversed();
  for (const term of [
    ['lane', 'transactional'],
    ['status', 'queued'],
    ['to', 'r49@x.co'],
  ] as const)
    expect(await find(...term)).toEqual(ids);
  expect([await redis.zcard(keys.emailIndex), await redis.exists(keys.unindexed)]).toEqual([100 * 53, 0]);
  expect(await most()).toBeLessThan(1_100);
});

it('the next sweep completes a batch whose process died before it was indexed, whatever happened to it meanwhile', async () => {
  await world.emails.create(some(1), { ...terms(), batchClaim: null });
  await redis.flushdb();
  const batch = some(30);
  await openEmails(dying()).create(batch, terms());
  const ids = batch.map(({ email }) => email.facts.id);
  expect(await redis.zcard(keys.due('transactional'))).toBe(30);
  expect(await find('to', 'r0@x.co')).toEqual([]);
  expect(await world.emails.create(some(30), terms())).toMatchObject({ kind: 'repeated', prior: { ids } });
  await world.attempt(ids[0] ?? '', 'failed');
  await world.forget();
  expect(await find('to', 'r0@x.co')).toHaveLength(30);
  expect([await find('status', 'queued'), await find('status', 'failed')].map((found) => found?.length)).toEqual([
    29, 1,
  ]);
  expect(await redis.zcard(keys.emailIndex)).toBe(30 * 53);
});

it('a small batch is one command, with all it is found by', async () => {
  await world.emails.create([submit(['b@x.co']), submit(['c@x.co'])], terms());
  expect([await redis.zcard(keys.emailIndex), await redis.exists(keys.unindexed)]).toEqual([8, 0]);
});

it('single requests with many recipients share commands that are short as well', async () => {
  const most = await watchIndex();
  await Promise.all(some(50).map((one) => world.emails.create([one], { ...terms(), batchClaim: null })));
  expect(await redis.zcard(keys.emailIndex)).toBe(50 * 53);
  expect(await most()).toBeLessThanOrEqual(1_000);
});

it('records with many recipients go in steps, with all they were found by', async () => {
  const batch = some(60);
  await world.emails.create(batch, terms());
  for (const { email } of batch) await world.attempt(email.facts.id, 'failed');
  const cards = batch.reduce((sum, { email: { facts, state } }) => sum + postingsOf(facts, state).length / 24, 0);
  expect(await redis.zcard(keys.emailIndex)).toBe(cards);
  world.pass(8 * day);
  const most = await watchIndex();
  expect(await world.forget()).toEqual({ contents: 60, records: 60 });
  expect(await most()).toBeLessThanOrEqual(1_000);
  expect(await redis.exists(keys.emailIndex, keys.emptied)).toBe(0);
});
