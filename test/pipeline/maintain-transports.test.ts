/** maintain-transports: connections are shared out, what waits is let go as its transport can take it, and no mail waits for nothing. */
import type { Redis } from 'ioredis';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { PoolState, Transport } from '../../src/outbound/transport.ts';
import { openAllotments } from '../../src/store/allotments.ts';
import { openBudgets } from '../../src/store/budgets.ts';
import { openDue } from '../../src/store/due.ts';
import { keys } from '../../src/store/keys.ts';
import { openTransportStates } from '../../src/store/transport-states.ts';
import { type Act, openScriptedSmtp, type ScriptedSmtp } from '../support/scripted-smtp.ts';
import { until } from '../support/until.ts';
import { useTestRedis } from '../support/use-redis.ts';
import { failover, fleetOf, newId, openTestWorker, planTo, type TestWorker } from '../support/worker.ts';

let redis: Redis;
let smtp: ScriptedSmtp;
let greeting: Act | undefined;
useTestRedis(async (server, opened) => {
  redis = server.connect();
  smtp = opened.use(await openScriptedSmtp((stage) => (stage === 'connect' ? greeting : undefined)));
});
beforeEach(async () => {
  greeting = undefined;
});

const hour = 3_600_000;
const quota = (count: number) => [{ count, windowMs: hour }];
const states = () => openTransportStates(redis);
const event = (at = Date.now()) => ({ id: newId('ev'), at });
const fault = { cause: 'login', reason: '535 5.7.8 no' } as const;
const plan = (one: object = {}, two: object = {}, route = failover('one', 'two')) =>
  planTo({ one: { port: smtp.port, ...one }, two: { port: smtp.port, ...two } }, { default: route });

const { park, parkBulk, letGo } = fleetOf(() => redis);

/** Another worker has the only connection of the first transport, and a message in hand. */
async function takeConnection(): Promise<void> {
  const report = { wanted: 1, open: 1, busy: 1, waiting: 0, hanging: 0 };
  await openAllotments(redis).allot('one', 'other', report, 1, Date.now());
}

/** Of a worker whose first transport has one message in hand, and this much room. */
function hasRoom({ transports }: TestWorker, room: PoolState['room']): void {
  const state = {
    open: 1,
    busy: 1,
    waiting: 0,
    waitingBulk: 0,
    isStuck: false,
    isHanging: false,
    acceptedMs: null,
    refusals: 0,
    room,
  };
  vi.spyOn(transports.get('one') as Transport, 'pool', 'get').mockReturnValue(state);
}

const allowed = async (name: string) =>
  (await redis.hvals(keys.allotments(name))).map((json) => (JSON.parse(json) as number[])[5]);

describe('connections', () => {
  it('of the fleet are shared out among its workers', async () => {
    const six = plan({ connections: 6 });
    await using one = openTestWorker(redis, six, 'w1');
    await using two = openTestWorker(redis, six, 'w2');
    for (const worker of [one, two, one, two, one, two]) await worker.tend();
    expect(await allowed('one')).toEqual([3, 3]);
  });

  it('that are fewer than workers make workers with one look for mail of the others ten times as often', async () => {
    const scarce = planTo({ one: { port: smtp.port, connections: 1 } }, { default: failover('one') });
    await using one = openTestWorker(redis, scarce, 'w1');
    expect(await one.tend()).toBe(1_000);
    await using two = openTestWorker(redis, scarce, 'w2');
    expect([await two.tend(), await one.tend()]).toEqual([1_000, 100]);
  });

  it('are fewer under a brake', async () => {
    await using worker = openTestWorker(redis, plan({ connections: 8 }));
    await states().brake('one', { host: '127.0.0.1', port: smtp.port }, Date.now());
    await worker.tend();
    expect(await allowed('one')).toEqual([4]);
  });
});

describe('parked mail', () => {
  it('is released at once without a rate, and as far as the budget goes with one', async () => {
    await using worker = openTestWorker(redis, plan({}, { rates: quota(120) }));
    await park('one', 'a', 'b');
    await park('two', 'c', 'd', 'e');
    await worker.tend();
    expect(await letGo()).toEqual(['a', 'b', 'c', 'd']);
  });

  it.each<[string, (worker: TestWorker) => Promise<unknown>]>([
    ['paused', () => states().pause('one', 'k', Date.now())],
    [
      'degraded',
      () => {
        greeting = 'stall';
        return states().fault('one', fault, event());
      },
    ],
    ['without a connection for this worker', takeConnection],
    [
      'to be tried by a message, without a connection for this worker',
      async () => {
        await takeConnection();
        await states().fault('one', { ...fault, byMessage: true }, event());
        await states().success('one', 'probe', event());
      },
    ],
  ])('stays while the transport is %s', async (_, given) => {
    await using worker = openTestWorker(redis, plan({ connections: 1 }, {}, failover('one')));
    await given(worker);
    await park('one', 'a');
    await worker.tend();
    await worker.tend();
    expect(await letGo()).toEqual([]);
  });

  it('in bulk stays while others wait for a connection already; what goes before them does not', async () => {
    greeting = 'stall';
    await using worker = openTestWorker(redis, plan({ connections: 2 }));
    await worker.tend();
    const waiting = worker.send({ lane: 'bulk' });
    await until('it to wait', () => worker.transports.get('one')?.pool.waiting === 1);
    await park('one', 'a');
    await parkBulk('one', 'd');
    await worker.tend();
    expect(await letGo()).toEqual(['a']);
    expect((await openBudgets(redis).countParked(['one'])).get('one')).toEqual({ transactional: 0, bulk: 1 });
    worker.transports.get('one')?.allow(0);
    await waiting;
  });

  it('is released by a rate only as far as there is room for it', async () => {
    await using worker = openTestWorker(redis, plan({ rates: [{ count: 100, windowMs: 1_000 }] }));
    hasRoom(worker, { transactional: 1, bulk: 0, campaign: 0 });
    await park('one', 'a', 'b');
    await parkBulk('one', 'd');
    await worker.tend();
    expect(await letGo()).toEqual(['a']);
    expect((await openBudgets(redis).countParked(['one'])).get('one')).toEqual({ transactional: 1, bulk: 1 });
  });

  it.each<[string, object]>([
    ['with a rate', { rates: [{ count: 100, windowMs: 1_000 }] }],
    ['without', {}],
  ])('is let go as far as there is room for both lanes together, %s', async (_, one) => {
    await using worker = openTestWorker(redis, plan(one));
    hasRoom(worker, { transactional: 3, bulk: 3, campaign: 3 });
    await park('one', 'a', 'b', 'c', 'd');
    await parkBulk('one', 'e', 'f', 'g', 'h');
    await worker.tend();
    expect((await openBudgets(redis).countParked(['one'])).get('one')).toEqual({ transactional: 1, bulk: 4 });
  });

  it('is not released by a rate while mail waits for the first connection, and neither is mail that comes then', async () => {
    greeting = 'stall';
    const rates = [{ count: 100, windowMs: 1_000 }];
    await using worker = openTestWorker(redis, plan({ rates }, {}, failover('one')));
    await worker.tend();
    const waiting = worker.send();
    await until('it to wait', () => worker.transports.get('one')?.pool.waiting === 1);
    expect(await worker.send()).toMatchObject({ outcome: { kind: 'parked' } });
    await worker.tend();
    expect((await openBudgets(redis).countParked(['one'])).get('one')).toEqual({ transactional: 1, bulk: 0 });
    worker.transports.get('one')?.allow(0);
    await waiting;
  });

  it('is not looked at again and again while nothing may go', async () => {
    greeting = 'stall';
    await using worker = openTestWorker(redis, plan({ rates: quota(1) }, {}, failover('one')));
    await worker.tend();
    const waiting = worker.send();
    await until('it to wait', () => worker.transports.get('one')?.pool.waiting === 1);
    await park('one', 'a');
    expect(await worker.tend()).toBe(1_000);
    worker.transports.get('one')?.allow(0);
    await waiting;
  });

  it('moves on when its transport goes out of service and another of its route is in service, and once', async () => {
    await using worker = openTestWorker(redis, plan({ rates: quota(1) }));
    await worker.tend();
    await park('one', 'a', 'b', 'c', 'd');
    await states().fault('one', fault, event());
    await worker.tend();
    expect(await letGo()).toEqual(['a', 'b', 'c', 'd']);
    await park('one', 'a');
    await worker.tend();
    expect(await letGo()).toEqual([]);
  });

  it('moves on when another transport comes back that can stand in', async () => {
    await using worker = openTestWorker(redis, plan());
    for (const name of ['one', 'two']) await states().pause(name, 'k', Date.now());
    await worker.tend();
    await park('one', 'a');
    await worker.tend();
    expect(await letGo()).toEqual([]);
    await states().resume('two');
    await worker.tend();
    expect(await letGo()).toEqual(['a']);
  });

  it('loses the permits it had, which would hold up the transport when it is back', async () => {
    await using worker = openTestWorker(redis, plan({ rates: [{ count: 1, windowMs: 1_000 }] }));
    await park('one', 'a', 'b');
    await worker.tend();
    expect(await redis.zcard(keys.permits('one'))).toBe(1);
    await states().pause('one', 'k', Date.now());
    await worker.tend();
    expect(await redis.zcard(keys.permits('one'))).toBe(0);
  });

  it('finds another way by a plan that routes it otherwise, and keeps its place when only a rate changed', async () => {
    await using worker = openTestWorker(redis, plan({ rates: quota(1) }));
    await worker.tend();
    await openBudgets(redis).admit('one', quota(1), [{ id: 'used', lane: 'bulk', dueAt: 1, endsAt: 2 }], Date.now());
    await park('one', 'a', 'b');
    worker.transports.update(plan({ rates: quota(1) }, { rates: quota(1) }));
    await worker.tend();
    expect(await letGo()).toEqual([]);
    worker.transports.update(plan({ rates: quota(1) }, {}, failover('two')));
    await worker.tend();
    expect(await letGo()).toEqual(['a', 'b']);
  });

  it('finds another way, once, when no worker has the plan any more by which it was parked', async () => {
    const [former, next] = [plan({ rates: quota(1) }), plan({ rates: quota(1) }, {}, failover('two'))];
    const t0 = Date.now();
    await openBudgets(redis).admit('one', quota(1), [{ id: 'used', lane: 'bulk', dueAt: 1, endsAt: 2 }], t0);
    const start = async (given: typeof next, at: number) => {
      await using worker = openTestWorker(redis, given, newId('jb'));
      await worker.tend(at);
    };
    await start(former, t0);
    await park('one', 'a');
    await start(former, t0 + 60_000);
    // One worker after the other is replaced: the last former one parks mail after the last new one started.
    await using old = openTestWorker(redis, former, 'old');
    await using one = openTestWorker(redis, next, 'new');
    await one.tend(t0 + 60_000);
    await old.tend(t0 + 69_000);
    await one.tend(t0 + 71_000);
    await park('one', 'b');
    expect(await letGo(t0 + 71_000)).toEqual([]);
    await one.tend(t0 + 79_001);
    expect(await letGo(t0 + 79_001)).toEqual(['a', 'b']);
    await park('one', 'c');
    await start(next, t0 + 99_000);
    expect(await letGo(t0 + 99_000)).toEqual([]);
    await start(former, t0 + 200_000);
    expect(await letGo(t0 + 200_000)).toEqual(['c']);
  });

  it('that finds another way takes nothing of the quota by which some of it was let go before', async () => {
    const left = async () => (await openBudgets(redis).left('one', quota(4), Date.now()))[0]?.remaining;
    await using worker = openTestWorker(redis, plan({ rates: quota(4) }));
    await park('one', 'a', 'b', 'c');
    await worker.tend();
    expect([await letGo(), await left()]).toEqual([['a', 'b'], 2]);
    worker.transports.update(plan({ rates: quota(4) }, {}, failover('two')));
    await worker.tend();
    expect([await letGo(), await left()]).toEqual([['c'], 4]);
  });

  it('for a transport that left the plan is let go once no worker has it any more', async () => {
    await using one = openTestWorker(redis, plan(), 'w1');
    await using two = openTestWorker(redis, plan(), 'w2');
    for (const worker of [one, two]) await worker.tend();
    await states().pause('one', 'k', Date.now());
    await park('one', 'a');
    const next = planTo({ two: { port: smtp.port } }, { default: failover('two') });
    one.transports.update(next);
    await one.tend();
    expect(await letGo()).toEqual([]);
    two.transports.update(next);
    await two.tend();
    expect(await letGo()).toEqual(['a']);
    // Nobody asks about it any more.
    expect(await openBudgets(redis).parkedFor()).toEqual([]);
  });

  it('whose end has come and is being taken up is not let go as well', async () => {
    await using worker = openTestWorker(redis, plan({ rates: quota(120) }));
    const endsAt = Date.now() + 1_000;
    await openBudgets(redis).park('one', [{ id: 'a', lane: 'transactional', dueAt: 1, endsAt }], Date.now());
    expect((await openDue(redis).take('transactional', newId('jb'), 60_000, 10, endsAt + 1)).ids).toEqual(['a']);
    await worker.tend(endsAt + 1);
    expect(await redis.zcard(keys.permits('one'))).toBe(0);
  });
});
