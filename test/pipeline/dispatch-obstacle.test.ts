/** dispatch of a message that a server cannot take, as is known without asking: over another, later, or not at all. */
import type { Redis } from 'ioredis';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Outgoing } from '../../src/pipeline/dispatch.ts';
import { openBudgets } from '../../src/store/budgets.ts';
import { type Act, openScriptedSmtp, type ScriptedSmtp, type Stage } from '../support/scripted-smtp.ts';
import { useTestRedis } from '../support/use-redis.ts';
import { failover, fleetOf, openTestWorker, planTo, type Servers } from '../support/worker.ts';

type Acts = Partial<Record<Stage, Act>>;

let redis: Redis;
let first: ScriptedSmtp;
let second: ScriptedSmtp;
/** What each server does at a stage. */
let acts: Acts = {};
let actsOfSecond: Acts = {};
useTestRedis(async (server, opened) => {
  redis = server.connect();
  first = opened.use(await openScriptedSmtp((stage) => acts[stage]));
  second = opened.use(await openScriptedSmtp((stage) => actsOfSecond[stage]));
});
beforeEach(async () => {
  [acts, actsOfSecond] = [{}, {}];
});

const { states, event, stateOf, parkedFor } = fleetOf(() => redis);
const fault = { cause: 'login', reason: '535 5.7.8 no' } as const;

/** A worker whose messages go to the first server, and to the second where they cannot. */
async function openWorker(one: Partial<Servers[string]> = {}, ...route: string[]) {
  const servers = { one: { port: first.port, ...one }, two: { port: second.port } };
  const transports = route.length === 0 ? ['one', 'two'] : route;
  const worker = openTestWorker(redis, planTo(servers, { default: failover(...transports) }));
  await worker.tend();
  return worker;
}

const offer = (extension: string): Acts => ({ EHLO: `250-scripted\r\n250 ${extension}` });
const small = offer('SIZE 5');
const ascii = offer('PIPELINING');
const relayDenied = '554 5.7.1 <b@x.co>: Relay access denied';
const toUtf8 = { to: ['ö@x.co'] };

it.each([
  ['too large for it', small, ascii, {}],
  ['not relayed by it', { RCPT: relayDenied }, ascii, {}],
  ['to an address beyond ASCII', ascii, offer('SMTPUTF8'), toUtf8],
])('a message that the first transport cannot take uses the second: %s', async (_, ofFirst, ofSecond, given) => {
  [acts, actsOfSecond] = [ofFirst, ofSecond];
  await using worker = await openWorker({ rates: [{ count: 2, windowMs: 3_600_000 }] });
  for (let n = 0; n < 3; n++)
    expect((await worker.send(given)).outcome).toMatchObject({ kind: 'answered', transport: 'two' });
  expect(await stateOf('one')).toMatchObject({ breaker: { kind: 'closed', faults: 0 }, brake: null });
});

it('a message fails for the recipients that no transport of its route can take', async () => {
  acts = small;
  await using worker = await openWorker({}, 'one');
  const outcome = { kind: 'undeliverable', transport: 'one', recipients: ['b@x.co'] };
  expect((await worker.send()).outcome).toMatchObject(outcome);
  for (const [ofFirst, ofSecond, transport] of [
    [small, ascii, 'two'],
    [ascii, small, 'one'],
    [ascii, ascii, 'one'],
  ] as const) {
    [acts, actsOfSecond] = [ofFirst, ofSecond];
    await using other = await openWorker();
    expect((await other.send({ to: ['b@x.co', 'ö@x.co'] })).outcome).toMatchObject({
      kind: 'undeliverable',
      transport,
      recipients: ['ö@x.co'],
    });
  }
});

it('fails with the reply where no transport of its route relays it', async () => {
  [acts, actsOfSecond] = [{ RCPT: relayDenied }, { RCPT: '550 relay not permitted' }];
  await using worker = await openWorker();
  expect((await worker.send()).outcome).toMatchObject({
    kind: 'undeliverable',
    detail: expect.stringMatching(
      /does not relay it \(550 relay not permitted\)|\(554 5\.7\.1 <b@x\.co>: Relay access denied\)/,
    ),
    recipients: ['b@x.co'],
  });
  expect(await stateOf('one')).toMatchObject({ breaker: { kind: 'closed', faults: 0 } });
});

it.each<[string, Partial<Outgoing>, unknown]>([
  ['cannot be made', { message: () => Promise.reject(new Error('a bug')) }, 'a bug'],
  ['waits for a file', { message: async () => ({ kind: 'withheld' }) }, undefined],
  ['is too large', {}, undefined],
])('a message that %s gives back its token and the trial of a transport in trouble', async (_, more, bug) => {
  acts = small;
  await using worker = await openWorker({ rates: [{ count: 1, windowMs: 3_600_000 }] }, 'one');
  await states().fault('one', { ...fault, byMessage: true }, event());
  await states().success('one', 'probe', event());
  await worker.tend();
  const thrown = await worker
    .send({}, async () => true, more)
    .then(
      () => undefined,
      (error: Error) => error.message,
    );
  expect(thrown).toBe(bug);
  expect(await stateOf('one')).toMatchObject({ breaker: { trial: 'open' } });
  acts = {};
  await using free = await openWorker({ rates: [{ count: 1, windowMs: 3_600_000 }] }, 'one');
  expect((await free.send()).outcome).toMatchObject({ kind: 'answered', transport: 'one' });
  await free.told();
  expect(await stateOf('one')).toMatchObject({ breaker: { kind: 'closed' } });
});

it.each(['paused', 'in trouble'])('a message waits for a transport that is %s, unless kept', async (trouble) => {
  acts = small;
  await using worker = await openWorker();
  if (trouble === 'paused') await states().pause('two', 'k', Date.now());
  else await states().fault('two', fault, event());
  await worker.tend();
  expect((await worker.send()).outcome).toEqual({ kind: 'parked' });
  expect(await parkedFor('two')).toEqual({ transactional: 1, bulk: 0 });
  const kept = await worker.send({ lane: 'bulk' }, async () => true, { isOfCampaign: true });
  expect(kept.outcome).toMatchObject({ kind: 'transport_fault', transport: 'two' });
});

it.each(['first', 'second'])('an obstacle is not final while the %s transport refuses connections', async (which) => {
  const refuses: Acts = { connect: 'drop' };
  [acts, actsOfSecond] = which === 'first' ? [refuses, small] : [small, refuses];
  await using worker = await openWorker();
  expect((await worker.send()).outcome).toMatchObject({
    kind: 'transport_fault',
    transport: which === 'first' ? 'one' : 'two',
  });
});

describe('a message that the first transport cannot take for one of its recipients alone', () => {
  /** A blind copy, as all get the same header. */
  const mixed = { to: 'b@x.co', bcc: 'ö@x.co' };
  const toOthers = { kind: 'answered', transport: 'one', to: ['b@x.co'], replies: [{ address: 'b@x.co' }] };
  const onlyBarred = { to: ['ö@x.co'] };

  it.each(['paused', 'refuses connections'])('goes to the others while the second one %s', async (trouble) => {
    actsOfSecond = { connect: 'drop' };
    await using worker = await openWorker();
    if (trouble === 'paused') await states().pause('two', 'k', Date.now());
    await worker.tend();
    const claims: unknown[] = [];
    const claim = async (...claimed: unknown[]) => claims.push(claimed) > 0;
    expect((await worker.send(mixed, undefined, { claim })).outcome).toMatchObject(toOthers);
    expect(claims).toEqual([['one', ['b@x.co']]]);
    expect(first.lines.filter((line) => line.includes('ö'))).toEqual([]);
    const { outcome } = await worker.send(mixed, undefined, onlyBarred);
    expect(outcome.kind).toBe(trouble === 'paused' ? 'parked' : 'transport_fault');
    expect(await parkedFor('one')).toEqual({ transactional: 0, bulk: 0 });
  });

  it('goes to the others while the second one has used up its rate, for which the barred ones wait', async () => {
    actsOfSecond = offer('SMTPUTF8');
    const rates = [{ count: 1, windowMs: 3_600_000 }];
    const servers = { one: { port: first.port }, two: { port: second.port, rates } };
    await using worker = openTestWorker(redis, planTo(servers, { default: failover('one', 'two') }));
    await openBudgets(redis).admit('two', rates, [{ id: 'x', lane: 'bulk', dueAt: 1, endsAt: 1 }], Date.now());
    await worker.tend();
    expect((await worker.send(mixed)).outcome).toMatchObject(toOthers);
    expect((await worker.send(mixed, undefined, onlyBarred)).outcome).toEqual({ kind: 'parked' });
    expect(await parkedFor('one')).toEqual({ transactional: 0, bulk: 0 });
  });

  it('goes to all over the second one that can take it', async () => {
    actsOfSecond = offer('SMTPUTF8');
    await using worker = await openWorker();
    const { outcome } = await worker.send(mixed);
    expect(outcome).toMatchObject({ transport: 'two', replies: [{ address: 'b@x.co' }, { address: 'ö@x.co' }] });
    expect(outcome).not.toHaveProperty('to');
  });

  it('waits for both when neither has a place for it now', async () => {
    await using worker = await openWorker({ rates: [{ count: 1, windowMs: 3_600_000 }] });
    expect((await worker.send()).outcome).toMatchObject({ kind: 'answered', transport: 'one' });
    await states().pause('two', 'k', Date.now());
    await worker.tend();
    expect((await worker.send(mixed)).outcome).toEqual({ kind: 'parked' });
    const once = { transactional: 1, bulk: 0 };
    expect([await parkedFor('one'), await parkedFor('two')]).toEqual([once, once]);
  });

  it('waits with them where the first one does not relay it to the others either', async () => {
    acts = { RCPT: relayDenied };
    await using worker = await openWorker();
    await states().pause('two', 'k', Date.now());
    await worker.tend();
    expect((await worker.send(mixed)).outcome).toEqual({ kind: 'parked' });
    expect(await parkedFor('two')).toEqual({ transactional: 1, bulk: 0 });
  });
});
