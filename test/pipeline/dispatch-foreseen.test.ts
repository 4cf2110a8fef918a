/** dispatch of a message that a server is known not to take by what it offered to its open connections. */
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import type { Outgoing } from '../../src/pipeline/dispatch.ts';
import { openBudgets } from '../../src/store/budgets.ts';
import { openScriptedSmtp, type ScriptedSmtp } from '../support/scripted-smtp.ts';
import { useTestRedis } from '../support/use-redis.ts';
import { failover, fleetOf, openTestWorker, planTo, type TestWorker } from '../support/worker.ts';

let redis: Redis;
let plain: ScriptedSmtp;
let able: ScriptedSmtp;
useTestRedis(async (server, opened) => {
  redis = server.connect();
  plain = opened.use(await openScriptedSmtp(undefined, { extensions: ['SIZE 3000'] }));
  able = opened.use(await openScriptedSmtp(undefined, { extensions: ['SMTPUTF8'] }));
});

const { states, parkedFor } = fleetOf(() => redis);
const rates = [{ count: 1, windowMs: 3_600_000 }];
const one = { transactional: 1, bulk: 0 };
const none = { transactional: 0, bulk: 0 };

/** The plain server comes first. */
async function openWorker(...route: string[]): Promise<TestWorker> {
  const servers = { plain: { port: plain.port, rates }, able: { port: able.port } };
  const worker = openTestWorker(redis, planTo(servers, { default: failover(...route) }));
  await worker.tend();
  return worker;
}

/** Its one token for an hour goes to a message, whose connection stays open. */
async function useUp(worker: TestWorker): Promise<void> {
  expect((await worker.send()).outcome).toMatchObject({ kind: 'answered', transport: 'plain' });
}

const tooLarge = { leastBytes: 3_001 };

it.each<[string, object, Partial<Outgoing>]>([
  ['too large', {}, tooLarge],
  ['for an address beyond ASCII', { bcc: 'ö@x.co' }, {}],
  ['with such an address in its header', { reply_to: 'ö@x.co' }, {}],
  ['from such an address', { from: 'ö@x.co' }, {}],
])('a message that is %s does not wait for a token of a transport known not to take it', async (_, given, more) => {
  await using worker = await openWorker('plain', 'able');
  await useUp(worker);
  expect((await worker.send(given, undefined, more)).outcome).toMatchObject({ kind: 'answered', transport: 'able' });
  expect(await parkedFor('plain')).toEqual(none);
});

it('a message as large as the server takes waits for its token', async () => {
  await using worker = await openWorker('plain', 'able');
  await useUp(worker);
  expect((await worker.send({}, undefined, { leastBytes: 3_000 })).outcome).toEqual({ kind: 'parked' });
  expect(await parkedFor('plain')).toEqual(one);
});

it('nothing is foreseen of a server without an open connection: the next one may be offered more', async () => {
  await using worker = await openWorker('plain', 'able');
  await openBudgets(redis).admit('plain', rates, [{ id: 'x', lane: 'bulk', dueAt: 1, endsAt: 1 }], Date.now());
  expect((await worker.send({}, undefined, tooLarge)).outcome).toEqual({ kind: 'parked' });
  expect(await parkedFor('plain')).toEqual(one);
});

it('a message that no transport of its route is known to take fails, and waits while one of them is paused', async () => {
  await using worker = await openWorker('plain');
  await useUp(worker);
  expect((await worker.send({}, undefined, tooLarge)).outcome).toMatchObject({
    kind: 'undeliverable',
    transport: 'plain',
    detail: 'it has at least 3001 bytes, and the server takes at most 3000 (SIZE)',
    recipients: ['b@x.co'],
  });
  await states().pause('plain', 'k', Date.now());
  await worker.tend();
  expect((await worker.send({}, undefined, tooLarge)).outcome).toEqual({ kind: 'parked' });
});
