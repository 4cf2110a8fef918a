/** maintain-transports: a transport in trouble is probed, and tried by one message where it was messages that met the trouble. */
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { beforeEach, describe, expect, it } from 'vitest';
import { closedBreaker, isTrialOpen } from '../../src/domain/transport-state.ts';
import { accountOf, openTokenBook } from '../../src/outbound/oauth-tokens.ts';
import { openTokenKeeper } from '../../src/outbound/refresh-tokens.ts';
import { openBudgets } from '../../src/store/budgets.ts';
import { keys } from '../../src/store/keys.ts';
import { openRefreshTokens } from '../../src/store/oauth-tokens.ts';
import { type Act, openScriptedSmtp, type ScriptedSmtp } from '../support/scripted-smtp.ts';
import { forgetful } from '../support/tokens.ts';
import { until } from '../support/until.ts';
import { useTestRedis } from '../support/use-redis.ts';
import { failover, fleetOf, openTestWorker, planTo } from '../support/worker.ts';

let redis: Redis;
let smtp: ScriptedSmtp;
let greeting: Act | undefined;
let mail: Act | undefined;
useTestRedis(async (server, opened) => {
  redis = server.connect();
  smtp = opened.use(await openScriptedSmtp((stage) => ({ connect: greeting, MAIL: mail })[stage as 'MAIL']));
});
beforeEach(async () => {
  greeting = undefined;
  mail = undefined;
});

const { states, event, park, letGo } = fleetOf(() => redis);
const breakerOf = async (name: string) => (await states().read([name])).get(name)?.breaker;
const fault = { cause: 'login', reason: '535 5.7.8 no' } as const;
const plan = (one: object = {}, route = failover('one', 'two')) =>
  planTo({ one: { port: smtp.port, ...one }, two: { port: smtp.port } }, { default: route });

describe('a transport in trouble', () => {
  it('is probed by one worker when it is time, and recovers', async () => {
    await using one = openTestWorker(redis, plan(), 'w1');
    await using two = openTestWorker(redis, plan(), 'w2');
    for (const worker of [one, two]) await worker.tend();
    await states().fault('one', fault, event());
    const before = smtp.connections;
    await Promise.all([one.tend(Date.now() + 4_000), two.tend(Date.now() + 4_000)]);
    expect(smtp.connections).toBe(before);
    await park('one', 'a');
    const at = Date.now() + 5_500;
    await Promise.all([one.tend(at), two.tend(at)]);
    await until('it to recover', async () => (await breakerOf('one'))?.kind === 'closed');
    expect(smtp.connections).toBe(before + 1);
    expect([...one.probes, ...two.probes]).toEqual([null]);
    await one.tend();
    expect(await letGo()).toContain('a');
  });

  it('is probed again later when the probe fails, and says why', async () => {
    greeting = '554 5.7.1 Go away';
    await using worker = openTestWorker(redis, plan());
    await worker.tend();
    await states().fault('one', fault, event());
    await worker.tend(Date.now() + 5_500);
    const breaker = await until('another reason', async () => {
      const is = await breakerOf('one');
      return is?.kind === 'open' && is.cause === 'protocol' && is;
    });
    expect(breaker.reason).toContain('554 5.7.1 Go away');
    expect(worker.probes).toEqual([expect.stringContaining('554 5.7.1 Go away')]);
  });

  it('is probed at once when the plan has another server or login for it; the result of an earlier probe does not count', async () => {
    greeting = 'stall';
    await using worker = openTestWorker(redis, plan());
    await worker.tend();
    await states().fault('one', fault, event());
    const before = smtp.connections;
    await worker.tend(Date.now() + 5_500);
    const connections = await until('the probe', () => smtp.connections > before && smtp.connections);
    greeting = undefined;
    worker.transports.update(plan({ maxAgeMs: 60_000 }));
    await until('the former probe to end', () => smtp.open === 0);
    for (let n = 0; n < 20; n++) expect(await breakerOf('one')).toMatchObject({ cause: 'login' });
    await worker.tend();
    await until('it to recover', async () => (await breakerOf('one'))?.kind === 'closed');
    expect(smtp.connections).toBe(connections + 1);
    expect(await breakerOf('one')).toEqual({ kind: 'closed', faults: 0 });
  });

  it('that messages met is tried by one waiting email, again and again, and reported once', async () => {
    mail = '530 5.7.0 Authentication required';
    const only = plan({ rates: [{ count: 100, windowMs: 1_000 }] }, failover('one'));
    await using worker = openTestWorker(redis, only);
    await worker.tend();
    expect((await worker.send()).outcome).toMatchObject({ kind: 'answered' });
    await park('one', 'a', 'b', 'c');
    // What was sent by hand is due as well, as nobody settled it.
    const letGoOfParked = async () => (await letGo()).filter((id) => id.length === 1);
    const tried = async (at: number) => {
      await worker.tend(at);
      await until('the login to go well', async () => isTrialOpen((await breakerOf('one')) ?? closedBreaker));
      await worker.tend();
      return letGoOfParked();
    };
    const lines = smtp.lines.length;
    expect(await tried(Date.now() + 6_000)).toEqual(['a']);
    // The one that was let go has the permit; who comes now is behind those that wait.
    expect((await worker.send()).outcome).toEqual({ kind: 'parked' });
    expect(smtp.lines.slice(lines).filter((line) => line.startsWith('MAIL'))).toEqual([]);
    expect(await states().takeTrial('one', Date.now())).toBe(true);
    await worker.tend();
    expect(await letGoOfParked()).toEqual([]);
    expect(await tried(Date.now() + 60_000)).toEqual(['b']);
    mail = undefined;
    await openBudgets(redis).unpark('one', [], Date.now());
    expect((await worker.send()).outcome).toMatchObject({ kind: 'answered', transport: 'one' });
    await worker.told();
    expect(await breakerOf('one')).toEqual(closedBreaker);
    const told = (await redis.xrange(keys.outbox, '-', '+')).map(([, [, json = '']]) => JSON.parse(json).type);
    expect(told.filter((type) => type.startsWith('transport'))).toEqual(['transport.degraded', 'transport.recovered']);
  });

  it('stays as it is, and so does one that is well, where another process has the turn to ask for a token', async () => {
    const auth = { kind: 'oauth2', user: 'u', clientId: 'i', clientSecret: 's', refreshToken: 'r' } as const;
    const newIv = () => randomBytes(12);
    let at = 0;
    const clock = () => {
      at += 20_000;
      return at;
    };
    const turns = openRefreshTokens(redis, Buffer.alloc(32), newIv);
    const silent = { onTrouble() {}, onStored() {}, now: clock };
    await using refreshTokens = openTokenKeeper(turns, silent);
    const tokensOf = openTokenBook({ ...forgetful, refreshTokens }, { now: clock, date: Date.now });
    const login = { ...auth, tokenUrl: 'http://localhost:1/token' };
    await turns.takeTurn(accountOf(login).id, 60_000);
    await using worker = openTestWorker(redis, plan({ auth: login }, failover('one')), 'w1', { tokensOf });
    await worker.tend();
    expect((await worker.send()).outcome).toEqual({ kind: 'withheld' });
    await worker.told();
    expect((await breakerOf('one')) ?? closedBreaker).toEqual(closedBreaker);
    const limit = { cause: 'limit', reason: '550 5.4.5 Daily limit' } as const;
    for (let n = 0; n < 3; n++) await states().fault('one', limit, event());
    await worker.tend(Date.now() + 31_000);
    await until('the probe to end', () => worker.probes.length > 0);
    expect(worker.probes).toEqual([expect.stringContaining('other processes ask for theirs')]);
    await worker.tend();
    expect(await breakerOf('one')).toMatchObject({ kind: 'open', cause: 'limit', tries: 1 });
  });

  it('is left alone while it is paused', async () => {
    await using worker = openTestWorker(redis, plan());
    await states().fault('one', fault, event());
    await states().pause('one', 'k', Date.now());
    const connections = smtp.connections;
    await worker.tend(Date.now() + 60_000);
    expect(await breakerOf('one')).toMatchObject({ kind: 'open', tries: 0 });
    expect(smtp.connections).toBe(connections);
  });
});

it('a transport that is paused takes no message that waits for a connection, and takes mail again once it is resumed', async () => {
  const answer = Promise.withResolvers<boolean>();
  await using worker = openTestWorker(redis, plan({ connections: 1 }, failover('one')), 'w1', { waitMs: 3_600_000 });
  await worker.tend();
  const lines = smtp.lines.length;
  const mails = () => smtp.lines.slice(lines).filter((line) => line.startsWith('MAIL')).length;
  const first = worker.send({}, () => answer.promise);
  await until('one to be in hand', () => mails() === 1);
  const waiting = worker.send();
  await until('another to wait', () => worker.transports.get('one')?.pool.waiting === 1);
  await states().pause('one', 'k', Date.now());
  await worker.tend();
  expect(await waiting).toMatchObject({ outcome: { kind: 'withheld' } });
  answer.resolve(true);
  expect(await first).toMatchObject({ outcome: { kind: 'answered' } });
  expect([mails(), (await worker.send()).outcome.kind]).toEqual([1, 'parked']);
  await states().resume('one');
  await worker.tend();
  await openBudgets(redis).unpark('one', [], Date.now());
  expect((await worker.send()).outcome).toMatchObject({ kind: 'answered' });
});

it('the transports are tended between parts of much mail that finds another way', async () => {
  await using worker = openTestWorker(redis, plan());
  await worker.tend();
  const one = { lane: 'bulk', dueAt: 1, endsAt: Date.now() + 3_600_000 } as const;
  const budgets = openBudgets(redis);
  for (let n = 0; n < 25; n++)
    await budgets.park(
      'one',
      Array.from({ length: 1_000 }, (_, m) => ({ ...one, id: `e${n}.${m}` })),
      Date.now(),
    );
  await states().pause('one', 'k', Date.now());
  const left: (number | undefined)[] = [];
  for (let round = 0; round < 3; round++) {
    const waitMs = await worker.tend();
    left.push((await budgets.countParked(['one'])).get('one')?.bulk);
    expect(waitMs).toBe(round < 2 ? 50 : 1_000);
  }
  expect(left).toEqual([15_000, 5_000, 0]);
});
