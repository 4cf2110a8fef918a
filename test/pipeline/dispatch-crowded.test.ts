/** dispatch to a server that takes fewer connections than we would open: no trouble of its transport, which keeps to as many as it takes. */
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { openCrowdedSmtp } from '../support/crowded-smtp.ts';
import { makeGate } from '../support/gate.ts';
import { openTestRedis } from '../support/redis.ts';
import { openScriptedSmtp } from '../support/scripted-smtp.ts';
import type { TransportOptions } from '../support/smtp-transport.ts';
import { until } from '../support/until.ts';
import { failover, fleetOf, openTestWorker, planTo, type TestWorker } from '../support/worker.ts';

const opened = new AsyncDisposableStack();
let redis: Redis;
beforeAll(async () => {
  redis = opened.use(await openTestRedis()).connect();
});
afterAll(() => opened.disposeAsync());
beforeEach(() => redis.flushall());

const { states, event, stateOf } = fleetOf(() => redis);

async function openWorker(port: number, name = 'w1', options: TransportOptions = {}) {
  const worker = openTestWorker(redis, planTo({ one: { port } }, { default: failover('one') }), name, options);
  await worker.tend();
  return worker;
}

it('an opening that fails is one fault, however many waited for it', async () => {
  const held = Promise.withResolvers<'drop'>();
  await using server = await openScriptedSmtp((stage) => (stage === 'connect' ? held.promise : undefined));
  await using worker = await openWorker(server.port);
  const sending = Array.from({ length: 10 }, () => worker.send());
  await until('all to wait', () => worker.transports.get('one')?.pool.waiting === 10);
  held.resolve('drop');
  const outcomes = (await Promise.all(sending)).map(({ outcome }) => outcome.kind);
  expect(outcomes).toEqual(Array(10).fill('transport_fault'));
  expect((await stateOf('one'))?.breaker).toEqual({ kind: 'closed', faults: 1 });
});

const quickly = { reopenMs: 10, waitMs: 3_600_000, idleCloseMs: 3_600_000 };
const refused = { cause: 'connect', reason: 'ECONNREFUSED' } as const;

/** Until each of them may have a connection. */
const shareOut = (...workers: TestWorker[]) =>
  until('each to have its share', async () => {
    for (const worker of workers) await worker.tend();
    return workers.every(({ transports }) => transports.get('one')?.pool.isStuck === false);
  });

async function openBreaker(): Promise<void> {
  for (let n = 0; n < 3; n++) await states().fault('one', refused, event());
}

it('a refusal to one worker is no fault while another has a connection, and its mail waits for that one from then on', async () => {
  await using server = await openCrowdedSmtp(() => 1);
  await using has = await openWorker(server.port, 'w1', quickly);
  await using wants = await openWorker(server.port, 'w2', quickly);
  await shareOut(has, wants);
  expect((await has.send()).outcome).toMatchObject({ kind: 'answered' });
  await has.tend();
  expect((await wants.send()).outcome).toMatchObject({ kind: 'transport_fault', isCrowded: true });
  expect(await stateOf('one')).toMatchObject({ breaker: { kind: 'closed', faults: 0 }, granted: null });
  await wants.tend();
  expect(await stateOf('one')).toMatchObject({ granted: { connections: 1 } });
  await until('the one with the connection to have all of them', async () => {
    await Promise.all([has.tend(), wants.tend()]);
    return wants.transports.get('one')?.pool.isStuck;
  });
  expect((await wants.send()).outcome).toEqual({ kind: 'parked' });
  expect((await has.send()).outcome).toMatchObject({ kind: 'answered' });
});

it('a refusal is a fault if no worker has a connection', async () => {
  await using server = await openCrowdedSmtp(() => 0);
  await using worker = await openWorker(server.port, 'w1', quickly);
  expect((await worker.send()).outcome).toMatchObject({ kind: 'transport_fault', isCrowded: true });
  await worker.tend();
  expect(await stateOf('one')).toMatchObject({ breaker: { kind: 'closed', faults: 1 }, granted: null });
});

it('a probe that is refused while another worker has a connection shows that the server is well', async () => {
  await using server = await openCrowdedSmtp(() => 1);
  await using has = await openWorker(server.port, 'w1', quickly);
  await using wants = await openWorker(server.port, 'w2', quickly);
  await shareOut(has, wants);
  await has.send();
  await openBreaker();
  const later = Date.now() + 1_100;
  await has.tend();
  await wants.tend(later);
  await until('the probe', () => wants.probes.length === 1);
  expect(wants.probes).toEqual([expect.stringContaining('too many connections')]);
  await until('the breaker to close', async () => (await stateOf('one'))?.breaker.kind === 'closed');
});

it('a message that a server accepts shows that it is well, whatever opened the breaker while it was on its way', async () => {
  const gate = makeGate();
  await using server = await openScriptedSmtp((stage) => (stage === 'body' ? gate.pass() : undefined));
  await using worker = await openWorker(server.port);
  const sending = worker.send();
  await until('it to be in hand', () => gate.held.length === 1);
  await openBreaker();
  await worker.tend();
  gate.open();
  expect((await sending).outcome).toMatchObject({ kind: 'answered' });
  await worker.told();
  expect((await stateOf('one'))?.breaker).toEqual({ kind: 'closed', faults: 0 });
});
