/** dispatch: over the first transport of the route that can take it; another only while nothing was handed over; parked until one can. */
import type { Redis } from 'ioredis';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { drawOf } from '../../src/domain/transport-plan.ts';
import { openBudgets } from '../../src/store/budgets.ts';
import { keys } from '../../src/store/keys.ts';
import type { TestRedis } from '../support/redis.ts';
import { type Act, openScriptedSmtp, type ScriptedSmtp, type Stage } from '../support/scripted-smtp.ts';
import { until } from '../support/until.ts';
import { useTestRedis } from '../support/use-redis.ts';
import { failover, fleetOf, openTestWorker, planTo, type Servers, type TestWorker } from '../support/worker.ts';

let server: TestRedis;
let redis: Redis;
let first: ScriptedSmtp;
let second: ScriptedSmtp;
/** What the first server does at a stage. */
let acts: Partial<Record<Stage, Act>> = {};
useTestRedis(async (own, opened) => {
  server = own;
  redis = server.connect();
  first = opened.use(await openScriptedSmtp((stage) => acts[stage]));
  second = opened.use(await openScriptedSmtp());
});
beforeEach(async () => {
  acts = {};
});

const { states, event, stateOf, parkedFor } = fleetOf(() => redis);
const fault = { cause: 'login', reason: '535 5.7.8 no' } as const;

/** A worker with connections over both servers, the first before the second. */
async function openWorker(more: { one?: Partial<Servers[string]>; two?: Partial<Servers[string]> } = {}) {
  const servers = { one: { port: first.port, ...more.one }, two: { port: second.port, ...more.two } };
  const worker = openTestWorker(redis, planTo(servers, { default: failover('one', 'two'), only: failover('one') }));
  await worker.tend();
  return worker;
}

const transportOf = ({ outcome }: Awaited<ReturnType<TestWorker['send']>>) =>
  'transport' in outcome ? outcome.transport : outcome.kind;

describe('another transport', () => {
  it.each<[string, Partial<Record<Stage, Act>>, string]>([
    ['hangs up', { connect: 'drop' }, 'connect'],
    ['greets with a refusal', { connect: '554 5.7.1 Go away' }, 'protocol'],
    ['wants a login', { MAIL: '530 5.7.0 Authentication required' }, 'login'],
    ['drops at DATA', { DATA: 'drop' }, 'protocol'],
  ])('takes over at once from a server that %s', async (_, given, cause) => {
    acts = given;
    await using worker = await openWorker();
    expect(await worker.send()).toMatchObject({ outcome: { kind: 'answered', transport: 'two' } });
    const { breaker } = (await stateOf('one')) ?? {};
    expect(breaker).toMatchObject(cause === 'login' ? { kind: 'open', cause } : { kind: 'closed', faults: 1 });
    expect(worker.known.get('one')?.breaker).toEqual(breaker);
  });

  it.each<[Stage, string]>([
    ['MAIL', '421 4.3.2 Service shutting down'],
    ['MAIL', '421 4.7.0 Too many messages, slow down'],
    ['MAIL', '454 4.7.0 TLS not available'],
    ['RCPT', '421 4.3.2 Service shutting down'],
    ['RCPT', '450 4.7.28 Mail of this domain comes in bursts'],
  ])(
    'takes over from one that answers %s with %s, which slows that one down and is no fault of it',
    async (stage, reply) => {
      acts = { [stage]: reply };
      await using worker = await openWorker();
      for (let n = 0; n < 4; n++)
        expect(await worker.send()).toMatchObject({ outcome: { kind: 'answered', transport: 'two' } });
      expect(await stateOf('one')).toMatchObject({ breaker: { kind: 'closed', faults: 0 }, brake: { factor: 0.5 } });
    },
  );

  it.each<[string, Partial<Record<Stage, Act>>]>([
    ['250', {}],
    ['421', { body: '421 4.3.2 Service shutting down' }],
  ])('an answer of %s is not forgotten when Redis is too full to tell the fleet of it', async (code, given) => {
    acts = given;
    await using worker = await openWorker();
    await states().fault('one', { ...fault, cause: 'connect' }, event());
    await worker.tend();
    const fill = async () => (await redis.config('SET', 'maxmemory', '1')) === 'OK';
    const { outcome } = await worker.send({}, fill);
    await worker.told();
    await redis.config('SET', 'maxmemory', '0');
    expect(outcome).toMatchObject({ kind: 'answered', transport: 'one' });
    expect(JSON.stringify(outcome)).toContain(code);
    expect(worker.troubles.map(String)).toEqual([expect.stringContaining('OOM')]);
  });

  it.each<[string, Partial<Record<Stage, Act>>]>([
    ['250', {}],
    ['421', { body: '421 4.3.2 Service shutting down' }],
  ])('an answer of %s does not wait for a Redis that is to tell the fleet of it', async (code, given) => {
    acts = given;
    await using worker = await openWorker();
    await states().fault('one', { ...fault, cause: 'connect' }, event());
    await worker.tend();
    onTestFinished(() => server.thaw());
    const freeze = async () => {
      server.freeze();
      return true;
    };
    const { outcome } = await worker.send({}, freeze);
    expect(JSON.stringify(outcome)).toContain(code);
    server.thaw();
    await worker.told();
    expect((await stateOf('one'))?.breaker).toMatchObject({ faults: code === '250' ? 0 : 1 });
  });

  it.each<[string, Partial<Record<Stage, Act>>, object]>([
    ['dropped within the body', { 'body begins': 'drop' }, { kind: 'unknown' }],
    ['dropped after the final dot', { body: 'drop' }, { kind: 'unknown' }],
    ['told to wait after the final dot', { body: '421 4.3.2 Service shutting down' }, { kind: 'answered' }],
    ['refused after the final dot for want of a login', { body: '530 5.7.0 Login first' }, { kind: 'answered' }],
    ['refused for its sender', { MAIL: '550 5.7.1 Not you' }, { kind: 'answered' }],
    ['told that its mailbox is busy', { RCPT: '450 4.2.1 Mailbox receives too much' }, { kind: 'answered' }],
  ])('is not asked about a message %s', async (_, given, outcome) => {
    acts = given;
    await using worker = await openWorker();
    const lines = second.lines.length;
    expect((await worker.send()).outcome).toMatchObject({ ...outcome, transport: 'one' });
    expect(second.lines.length).toBe(lines);
  });

  it('takes what the first cannot take: paused, or its breaker open', async () => {
    await using worker = await openWorker();
    await states().pause('one', 'k', Date.now());
    await worker.tend();
    expect(transportOf(await worker.send())).toBe('two');
    await states().resume('one');
    await states().fault('one', fault, event());
    await worker.tend();
    expect(transportOf(await worker.send())).toBe('two');
  });

  it('that is in trouble as well makes the last fault the outcome, without a hand-over', async () => {
    acts = { connect: 'drop' };
    await using worker = await openWorker({ two: { port: 1 } });
    expect((await worker.send()).outcome).toMatchObject({
      kind: 'transport_fault',
      transport: 'two',
      cause: 'connect',
    });
  });
});

describe('parked', () => {
  it('for the first of the route when all are out of service, and wakes maintain-transports', async () => {
    await using worker = await openWorker();
    for (const name of ['one', 'two']) await states().fault(name, fault, event());
    await worker.tend();
    const wakes = worker.wakes;
    const { outcome, id } = await worker.send({ lane: 'bulk' });
    expect(outcome).toEqual({ kind: 'parked' });
    expect(worker.wakes).toBeGreaterThan(wakes);
    expect(await openBudgets(redis).whereParked('one', id, 'bulk')).toMatchObject({ ahead: 0 });
  });

  it('when the fleet paused it, also by a worker that has not heard of it: neither a new one nor after a new plan', async () => {
    await states().pause('one', 'k', Date.now());
    const plan = planTo({ one: { port: first.port } }, { default: failover('one') });
    await using worker = openTestWorker(redis, plan);
    worker.transports.get('one')?.allow(1);
    expect((await worker.send()).outcome).toEqual({ kind: 'parked' });
    worker.transports.update(planTo({ one: { port: first.port, maxAgeMs: 9_000 } }, { default: failover('one') }));
    worker.transports.get('one')?.allow(1);
    expect((await worker.send()).outcome).toEqual({ kind: 'parked' });
  });

  it('while the worker has no connection to it, and at once when it loses its last', async () => {
    const plan = planTo({ one: { port: first.port } }, { default: failover('one') });
    await using worker = openTestWorker(redis, plan);
    expect((await worker.send()).outcome).toEqual({ kind: 'parked' });
    acts = { connect: 'stall' };
    worker.transports.get('one')?.allow(1);
    const waiting = worker.send();
    await until('it to wait for a connection', () => worker.transports.get('one')?.pool.waiting === 1);
    worker.transports.get('one')?.allow(0);
    expect((await waiting).outcome).toEqual({ kind: 'withheld' });
  });

  it('not past its end, when it waits for a connection after all, and fails if there is none for a minute', async () => {
    const plan = planTo({ one: { port: first.port } }, { default: failover('one') });
    await using worker = openTestWorker(redis, plan, 'w1', { waitMs: 20 });
    const given = { expires_at: new Date(Date.now() + 60_000).toISOString() };
    const over = Date.now() + 61_000;
    expect((await worker.sendAt(over, given)).outcome).toEqual({ kind: 'withheld' });
    expect((await worker.sendAt(over + 60_000, given)).outcome).toMatchObject({
      kind: 'transport_fault',
      detail: 'transport one had no free connection',
    });
    worker.transports.get('one')?.allow(1);
    expect(transportOf(await worker.sendAt(over, given))).toBe('one');
  });

  it('beyond the rate, though the other has budget; what was not sent gives its token back', async () => {
    await using worker = await openWorker({ one: { rates: [{ count: 2, windowMs: 3_600_000 }] } });
    const withheld = await worker.send({}, async () => false);
    expect(withheld.outcome).toEqual({ kind: 'withheld' });
    acts = { MAIL: 'drop' };
    expect(transportOf(await worker.send())).toBe('two');
    acts = {};
    expect(transportOf(await worker.send())).toBe('one');
    expect(transportOf(await worker.send())).toBe('parked');
    expect(await parkedFor('one')).toEqual({ transactional: 1, bulk: 0 });
  });

  it('no longer once its time is over: it gets one try if there is budget, else it fails with the reason', async () => {
    await using worker = await openWorker({ one: { rates: [{ count: 1, windowMs: 3_600_000 }] } });
    const given = { lane: 'bulk', expires_at: new Date(Date.now() + 60_000).toISOString() };
    const over = Date.now() + 61_000;
    expect(transportOf(await worker.sendAt(over, given))).toBe('one');
    expect(transportOf(await worker.sendAt(over - 2_000, given))).toBe('parked');
    expect((await worker.sendAt(over, given)).outcome).toMatchObject({
      kind: 'transport_fault',
      detail: 'transport one had used up its rate',
    });
    expect(await parkedFor('one')).toEqual({ transactional: 0, bulk: 1 });
  });
});

it('an email of a weighted route comes back to the same transport, so that its permit is used', async () => {
  const weights = { one: 1, two: 3 };
  const rates = [{ count: 4, windowMs: 3_600_000 }];
  const servers = { one: { port: first.port, rates }, two: { port: second.port } };
  await using worker = openTestWorker(redis, planTo(servers, { default: { kind: 'weighted', weights, reserve: 0 } }));
  await worker.tend();
  const sent = await Promise.all(Array.from({ length: 80 }, () => worker.send()));
  for (const one of sent) expect(transportOf(one) === 'two').toBe(drawOf(one.id) < 0.75);
  const count = (name: string) => sent.filter((one) => transportOf(one) === name).length;
  expect(count('one')).toBe(4);
  expect(count('two')).toBeGreaterThan(40);
  expect((await parkedFor('one'))?.transactional).toBe(80 - 4 - count('two'));
  expect(await redis.zcard(keys.permits('one'))).toBe(0);
});

describe('a transport that messages were refused by', () => {
  const refused = { ...fault, byMessage: true };

  it.each([
    ['closed by the message that goes through', undefined, 'one', 'closed'],
    ['as before by one that is refused, which the other takes', '530 5.7.0 Login first', 'two', 'open'],
    ['as before by one that is cut off, which the other takes', 'drop', 'two', 'open'],
  ] as const)('is %s', async (_, act, by, kind) => {
    await using worker = await openWorker();
    await states().fault('one', refused, event());
    await states().success('one', 'probe', event());
    await worker.tend();
    if (act !== undefined) acts = { MAIL: act };
    const before = first.lines.length;
    expect(transportOf(await worker.send())).toBe(by);
    await worker.told();
    expect(transportOf(await worker.send())).toBe(by);
    const mails = first.lines.slice(before).filter((line) => line.startsWith('MAIL'));
    expect(mails).toHaveLength(kind === 'closed' ? 2 : 1);
    expect(await stateOf('one')).toMatchObject({ breaker: { kind } });
  });

  it.each([
    ['connect', 'unneeded'],
    ['MAIL', 'needed'],
  ])('is one that cut messages off: at %s, to be tried by a message is %s', async (stage, trial) => {
    acts = { [stage]: 'drop' };
    await using worker = await openWorker();
    for (let n = 0; n < 3; n++) await worker.send();
    expect(await stateOf('one')).toMatchObject({ breaker: { kind: 'open', trial } });
  });

  it('is not tried by a message that would have to wait for its budget: the other takes that', async () => {
    await using worker = await openWorker({ one: { rates: [{ count: 1, windowMs: 3_600_000 }] } });
    expect(transportOf(await worker.send())).toBe('one');
    await states().fault('one', refused, event());
    await states().success('one', 'probe', event());
    await worker.tend();
    expect(transportOf(await worker.send())).toBe('two');
    expect(await parkedFor('one')).toEqual({ transactional: 0, bulk: 0 });
    expect(await stateOf('one')).toMatchObject({ breaker: { trial: 'open' } });
  });
});

it('a success resets the count of faults in a row, and wakes maintain-transports', async () => {
  await using worker = await openWorker();
  await states().fault('one', { cause: 'connect', reason: 'ECONNREFUSED' }, event());
  await worker.tend();
  const { wakes } = worker;
  expect(transportOf(await worker.send())).toBe('one');
  await worker.told();
  expect((await stateOf('one'))?.breaker).toEqual({ kind: 'closed', faults: 0 });
  expect(worker.wakes).toBe(wakes + 1);
});
