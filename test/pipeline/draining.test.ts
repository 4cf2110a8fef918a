/** A transport with another login, or another end of its connections: those it had finish their messages, and still count as its own. */
import type { Redis } from 'ioredis';
import { beforeEach, expect, it, onTestFinished } from 'vitest';
import type { TransportSettings } from '../../src/domain/transport-plan.ts';
import { openAllotments } from '../../src/store/allotments.ts';
import { type Gate, makeGate } from '../support/gate.ts';
import { openScriptedSmtp, type ScriptedSmtp } from '../support/scripted-smtp.ts';
import { until } from '../support/until.ts';
import { useTestRedis } from '../support/use-redis.ts';
import { failover, openTestWorker, planTo, type TestWorker } from '../support/worker.ts';

let redis: Redis;
let other: ScriptedSmtp;
useTestRedis(async (server, opened) => {
  redis = server.connect();
  other = opened.use(await openScriptedSmtp());
});

let smtp: ScriptedSmtp;
let gate: Gate;
beforeEach(async () => {
  gate = makeGate();
  smtp = await openScriptedSmtp((stage, _, connection) =>
    stage === 'body' && connection === 1 ? gate.pass() : undefined,
  );
  onTestFinished(() => smtp[Symbol.asyncDispose]());
  onTestFinished(() => gate.open());
});

const plan = (one: Partial<TransportSettings>, port = smtp.port, route = failover('one')) =>
  planTo({ one: { port, ...one }, two: { port: other.port } }, { default: route });
const pool = async () => (await openAllotments(redis).pools(['one'], Date.now())).get('one');
const overOne = { outcome: { kind: 'answered', transport: 'one' } };

/** One message is at the server. */
async function hold(worker: TestWorker) {
  await worker.tend();
  const first = worker.send();
  await until('it to be at the server', () => gate.held.length === 1);
  return { first };
}

it('a single connection is not two: later mail waits until the message in hand is done', async () => {
  await using worker = openTestWorker(redis, plan({ connections: 1 }));
  const { first } = await hold(worker);
  worker.transports.update(plan({ connections: 1, messagesPerConnection: 5 }));
  await worker.tend();
  expect((await worker.send()).outcome).toEqual({ kind: 'parked' });
  expect(await pool()).toMatchObject({ open: 1, busy: 1, workers: 1 });
  gate.open();
  expect(await first).toMatchObject(overOne);
  await until('its connection to end', () => smtp.open === 0);
  await until('it to count no more', async () => {
    await worker.tend();
    return (await pool())?.open === 0;
  });
  expect(await worker.send()).toMatchObject(overOne);
  expect(smtp.peak).toBe(1);
});

it('with several connections the others are available at once, and no worker has more than its share', async () => {
  await using worker = openTestWorker(redis, plan({ connections: 4 }), 'w1');
  await using another = openTestWorker(redis, plan({ connections: 4 }), 'w2');
  await hold(worker);
  for (const each of [another, worker, another, worker]) await each.tend();
  worker.transports.update(plan({ connections: 4, maxAgeMs: 9_000 }));
  for (const each of [worker, another, worker, another]) await each.tend();
  const sent = await Promise.all([worker, worker, another, another, another].map((each) => each.send()));
  expect(sent.filter(({ outcome }) => outcome.kind === 'answered')).toHaveLength(5);
  expect(smtp.peak).toBeLessThanOrEqual(4);
});

it('those to another server do not count', async () => {
  await using worker = openTestWorker(redis, plan({ connections: 1 }));
  await hold(worker);
  worker.transports.update(plan({ connections: 1 }, other.port));
  await worker.tend();
  expect(await worker.send()).toMatchObject(overOne);
  expect(smtp.open).toBe(1);
});

it('where they hang, mail goes another way, also when none had waited for them before', async () => {
  const ofBoth = (more: object) => plan({ connections: 1, ...more }, smtp.port, failover('one', 'two'));
  await using worker = openTestWorker(redis, ofBoth({}), 'w1', { hangAfterMs: 40 });
  await hold(worker);
  worker.transports.update(ofBoth({ maxAgeMs: 9_000 }));
  await until('it to hang', () => worker.transports.leftOver('one').hanging === 1);
  await worker.tend();
  expect(await worker.send()).toMatchObject({ outcome: { kind: 'answered', transport: 'two' } });
});

it('where they hang and others are free, the transport does not hang', async () => {
  const ofBoth = (more: object) => plan({ connections: 4, ...more }, smtp.port, failover('one', 'two'));
  await using worker = openTestWorker(redis, ofBoth({}), 'w1', { hangAfterMs: 40 });
  await hold(worker);
  worker.transports.update(ofBoth({ maxAgeMs: 9_000 }));
  await until('it to hang', () => worker.transports.leftOver('one').hanging === 1);
  for (const _round of ['the first of the new one', 'the next']) {
    await worker.tend();
    expect(await pool()).toMatchObject({ busy: 1, hanging: 0 });
  }
  expect(await worker.send()).toMatchObject(overOne);
});

it('where they hung before, mail goes another way', async () => {
  const ofBoth = (more: object) => plan({ connections: 1, ...more }, smtp.port, failover('one', 'two'));
  await using worker = openTestWorker(redis, ofBoth({}), 'w1', { waitMs: 20, hangAfterMs: 40 });
  await hold(worker);
  expect((await worker.send()).outcome).toEqual({ kind: 'withheld' });
  await until('it to hang', () => worker.transports.get('one')?.pool.isHanging);
  worker.transports.update(ofBoth({ maxAgeMs: 9_000 }));
  await worker.tend();
  expect(await pool()).toMatchObject({ busy: 1, hanging: 1 });
  expect(await worker.send()).toMatchObject({ outcome: { kind: 'answered', transport: 'two' } });
});
