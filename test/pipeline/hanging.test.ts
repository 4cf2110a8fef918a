/** A server that takes messages and never answers: those stay where they are, and what was not begun goes another way where there is one. */
import type { Redis } from 'ioredis';
import { beforeEach, expect, it, onTestFinished } from 'vitest';
import type { StoredEmail } from '../../src/domain/email.ts';
import { explainExpiry } from '../../src/pipeline/explain-expiry.ts';
import { openAllotments } from '../../src/store/allotments.ts';
import { openBudgets } from '../../src/store/budgets.ts';
import { openEmails } from '../../src/store/emails.ts';
import { type Gate, makeGate } from '../support/gate.ts';
import { openScriptedSmtp, type ScriptedSmtp } from '../support/scripted-smtp.ts';
import { until } from '../support/until.ts';
import { useTestRedis } from '../support/use-redis.ts';
import { failover, fleetOf, openTestWorker, planTo, type TestWorker } from '../support/worker.ts';

let redis: Redis;
let hanging: ScriptedSmtp;
let well: ScriptedSmtp;
let gate: Gate = makeGate();
useTestRedis(async (server, opened) => {
  redis = server.connect();
  hanging = opened.use(await openScriptedSmtp((stage) => (stage === 'body' ? gate.pass() : undefined)));
  well = opened.use(await openScriptedSmtp());
});
beforeEach(async () => {
  gate = makeGate();
});

const { states, parkedFor } = fleetOf(() => redis);
const plan = (route = failover('one', 'two')) =>
  planTo({ one: { port: hanging.port, connections: 1 }, two: { port: well.port } }, { default: route });

function openWorker(name: string, route?: ReturnType<typeof failover>): TestWorker {
  return openTestWorker(redis, plan(route), name, { waitMs: 20, hangAfterMs: 40 });
}

/** One message at the server, and the worker has seen that no answer comes. */
async function hang(worker: TestWorker) {
  onTestFinished(() => gate.open());
  await worker.tend();
  const first = worker.send();
  await until('it to be at the server', () => gate.held.length === 1);
  expect((await worker.send()).outcome).toEqual({ kind: 'withheld' });
  expect((await worker.send()).outcome).toEqual({ kind: 'parked' });
  await until('it to hang', () => worker.transports.get('one')?.pool.isHanging);
  await worker.tend();
  return { first };
}

const none = { transactional: 0, bulk: 0 };
const overTwo = { outcome: { kind: 'answered', transport: 'two' } };

it('a hanging transport keeps its messages in hand; waiting and new ones use the next transport until it answers', async () => {
  await using worker = openWorker('w1');
  const { first } = await hang(worker);
  expect(await parkedFor('one')).toEqual(none);
  expect(await worker.send()).toMatchObject(overTwo);
  gate.letThrough();
  expect(await first).toMatchObject({ outcome: { kind: 'answered', transport: 'one' } });
  expect(well.bodies).toHaveLength(1);
  await worker.tend();
  gate.open();
  expect(await worker.send()).toMatchObject({ outcome: { kind: 'answered', transport: 'one' } });
});

it('mail without another transport waits for the hanging one, and its expiry names the reason', async () => {
  await using worker = openWorker('w1', failover('one'));
  await hang(worker);
  await worker.tend();
  const { id, outcome } = await worker.send();
  expect(outcome).toEqual({ kind: 'parked' });
  expect(await parkedFor('one')).toEqual({ transactional: 2, bulk: 0 });
  expect((await worker.sendAt(Date.now() + 3_601_000)).outcome).toEqual({ kind: 'withheld' });
  const [email] = await openEmails(redis).loadAll([id], () => {});
  const asked = { transports: worker.transports, states: states(), budgets: openBudgets(redis), now: Date.now };
  expect(await explainExpiry(asked, { email: email as StoredEmail, to: ['b@x.co'], leastBytes: 1 }, null)).toBe(
    'transport one accepts messages but does not answer',
  );
});

it('mail waits for the hanging transport when the next is out of service', async () => {
  await using worker = openWorker('w1');
  await hang(worker);
  await states().pause('two', 'k', Date.now());
  await worker.tend();
  expect((await worker.send()).outcome).toEqual({ kind: 'parked' });
  expect(await parkedFor('one')).toEqual({ transactional: 1, bulk: 0 });
});

it('a worker without a connection, and a report, learn from the other workers that a transport hangs', async () => {
  await using worker = openWorker('w1');
  await using other = openWorker('w2');
  await hang(worker);
  await worker.tend();
  expect((await openAllotments(redis).pools(['one'], Date.now())).get('one')).toMatchObject({ busy: 1, hanging: 1 });
  // The second transport's connections are shared out by and by.
  for (const each of [other, worker, other, worker, other]) await each.tend();
  expect(other.transports.get('one')?.pool.room.transactional).toBe(0);
  expect(await other.send()).toMatchObject(overTwo);
});

it('a worker with its own connection relies on that one, though the transport hangs for the others', async () => {
  gate.open();
  const servers = { one: { port: hanging.port, connections: 2 }, two: { port: well.port } };
  await using worker = openTestWorker(redis, planTo(servers, { default: failover('one', 'two') }));
  const report = { wanted: 1, open: 1, busy: 1, waiting: 0, hanging: 1 };
  await openAllotments(redis).allot('one', 'other', report, 1, Date.now());
  await worker.tend();
  expect(await worker.send()).toMatchObject({ outcome: { kind: 'answered', transport: 'one' } });
});
