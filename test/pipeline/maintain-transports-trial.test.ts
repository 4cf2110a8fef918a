/** maintain-transports: which email tries a transport again that messages met in trouble. */
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openAllotments } from '../../src/store/allotments.ts';
import { openBudgets } from '../../src/store/budgets.ts';
import { keys } from '../../src/store/keys.ts';
import { openScriptedSmtp, type ScriptedSmtp } from '../support/scripted-smtp.ts';
import { useTestRedis } from '../support/use-redis.ts';
import { failover, fleetOf, openTestWorker, planTo, type TestWorker } from '../support/worker.ts';

let redis: Redis;
useTestRedis((server) => {
  redis = server.connect();
});
let smtp: ScriptedSmtp;
beforeAll(async () => {
  smtp = await openScriptedSmtp();
});
afterAll(() => smtp[Symbol.asyncDispose]());

const { states, event, park, letGo, parkedFor } = fleetOf(() => redis);
const fault = { cause: 'login', reason: '535 5.7.8 no' } as const;
const plan = (one: object = {}, route = failover('one', 'two')) =>
  planTo({ one: { port: smtp.port, ...one }, two: { port: smtp.port } }, { default: route });

describe('a transport that messages met, while all mail that could try it is parked for others of its routes', () => {
  const tokens = () => openBudgets(redis).left('one', rates, Date.now());
  const rates = [{ count: 5, windowMs: 3_600_000 }];
  const logIn = () => states().success('two', 'probe', event());
  const letGoOf = async (...ids: string[]) => (await letGo()).filter((id) => ids.includes(id));
  /** Which of them a round lets go. All are parked again after it. */
  const letGoAt = async (worker: TestWorker, at: number, all: readonly string[]) => {
    await worker.tend(at);
    const ids = (await letGo(at)).filter((id) => all.includes(id));
    await park('one', ...all);
    return ids.join('');
  };
  /** The other transport is paused, and the next probe of this one is due in five seconds. */
  const meet = async () => {
    await states().pause('one', 'k', Date.now());
    await states().fault('two', { ...fault, byMessage: true }, event());
  };

  it('is tried by one of those once its login goes well, and takes over all of them when that one went out', async () => {
    await using worker = openTestWorker(redis, plan({ rates }));
    await worker.tend();
    await meet();
    await worker.tend();
    expect((await worker.send()).outcome).toEqual({ kind: 'parked' });
    expect(await parkedFor('one')).toEqual({ transactional: 1, bulk: 0 });
    await park('one', 'a', 'b');
    await worker.tend();
    expect(await letGoOf('a', 'b')).toEqual([]);
    await logIn();
    await worker.tend();
    expect(await letGoOf('a', 'b')).toEqual(['a']);
    // It is not to go by the transport that it was parked for.
    expect([await redis.zcard(keys.permits('one')), await tokens()]).toMatchObject([0, [{ remaining: 5 }]]);
    expect((await worker.send()).outcome).toMatchObject({ kind: 'answered', transport: 'two' });
    await worker.told();
    await worker.tend();
    expect(await letGoOf('a', 'b')).toContain('b');
    expect(await parkedFor('one')).toEqual({ transactional: 0, bulk: 0 });
  });

  it('is left to mail of its own, where some is parked for it', async () => {
    await using worker = openTestWorker(redis, plan());
    await meet();
    await worker.tend();
    await park('one', 'a');
    await park('two', 'c');
    await logIn();
    await worker.tend();
    expect(await letGoOf('a', 'c')).toEqual(['c']);
  });

  it('is not tried by mail that waits for a transport in service, or for one that shares no route with it', async () => {
    const servers = { one: { port: smtp.port, connections: 1 }, two: { port: smtp.port }, three: { port: smtp.port } };
    const routes = { default: failover('one', 'two'), other: failover('three') };
    await using worker = openTestWorker(redis, planTo(servers, routes));
    await meet();
    await states().resume('one');
    await openAllotments(redis).allot(
      'one',
      'other',
      { wanted: 1, open: 1, busy: 1, waiting: 0, hanging: 0 },
      1,
      Date.now(),
    );
    await states().pause('three', 'k', Date.now());
    await worker.tend();
    await park('one', 'a');
    await park('three', 'd');
    await logIn();
    await worker.tend();
    expect(await letGoOf('a', 'd')).toEqual([]);
  });

  it('is offered to all of them, once, when the first of them have not tried it for long: their routes may not lead there', async () => {
    await using worker = openTestWorker(redis, plan());
    await meet();
    await logIn();
    await worker.tend();
    const all = Array.from('abcdefgh');
    await park('one', ...all);
    await worker.tend();
    expect(await letGoOf(...all)).toEqual(['a']);
    await park('one', 'a');
    const later = Date.now() + 36_000;
    await worker.tend(later);
    expect(await letGo(later)).toEqual(all);
    await park('one', ...all);
    await worker.tend(later + 1_000);
    expect(await letGo(later + 1_000)).toEqual(all.slice(0, 4));
  });

  it('is tried by others as well, more each time, while those that come first cannot go over it', async () => {
    await using worker = openTestWorker(redis, plan());
    await meet();
    const all = Array.from('abcdefghijkl');
    await park('one', ...all);
    await logIn();
    let now = Date.now();
    const letGoThisTime = async () => {
      const ids = await letGoAt(worker, now, all);
      now += 1_000;
      return ids;
    };
    expect([await letGoThisTime(), await letGoThisTime(), await letGoThisTime()]).toEqual(['a', 'ab', 'abcd']);
    await states().takeTrial('two', Date.now());
    expect(await letGoThisTime()).toBe('');
    await states().giveTrialBack('two', Date.now());
    expect(await letGoThisTime()).toBe('a');
  });

  it('is tried by others a second later, however soon those that cannot go over it are parked again', async () => {
    await using worker = openTestWorker(redis, plan());
    await meet();
    const all = Array.from('abcdefghijkl');
    await park('one', ...all);
    await logIn();
    const start = Date.now();
    // Each email that is parked ends the wait between two rounds.
    const letGoAfter = (ms: number) => letGoAt(worker, start + ms, all);
    expect(await letGoAfter(0)).toBe('a');
    expect([await letGoAfter(50), await letGoAfter(100), await letGoAfter(950)]).toEqual(['', '', '']);
    expect([await letGoAfter(1_000), await letGoAfter(1_050), await letGoAfter(2_000)]).toEqual(['ab', '', 'abcd']);
  });

  it('is tried by one of them, though no worker looked at it for long before its login went well', async () => {
    await using worker = openTestWorker(redis, plan());
    await meet();
    await park('one', 'a', 'b', 'c');
    const later = Date.now() + 60_000;
    await states().success('two', 'probe', { id: 'ev_later', at: later });
    await worker.tend(later);
    expect(await letGo(later)).toEqual(['a']);
  });
});
