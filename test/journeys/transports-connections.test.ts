/** Connections of transports over two workers: as many as the server may see, whoever has them; and the brake when it asks for less. */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openCrowdedSmtp } from '../support/crowded-smtp.ts';
import { openScriptedSmtp, type ScriptedSmtp } from '../support/scripted-smtp.ts';
import { arrivals, openWorld, transportAt, type World } from '../support/transports-world.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let two: ScriptedSmtp;
let one: ScriptedSmtp;
let slow: ScriptedSmtp;
let free: ScriptedSmtp;
let braked: ScriptedSmtp;
let crowded: ScriptedSmtp;
let world: World;
let isTooMuch = true;

/** A server that takes its time over each message. */
const taking = (ms: number) =>
  openScriptedSmtp(async (stage) => {
    if (stage === 'body') await pause(ms);
    return undefined;
  });

beforeAll(async () => {
  two = opened.use(await taking(40));
  one = opened.use(await taking(5));
  slow = opened.use(await taking(1_000));
  free = opened.use(await openScriptedSmtp());
  braked = opened.use(
    await openScriptedSmtp((stage) =>
      stage === 'MAIL' && isTooMuch ? '421 4.7.0 Too many messages, slow down' : undefined,
    ),
  );
  crowded = opened.use(await openCrowdedSmtp(() => 2));
  const transports = {
    two: transportAt(two.port, { connections: 2 }),
    one: transportAt(one.port, { connections: 1 }),
    slow: transportAt(slow.port, { connections: 2 }),
    free: transportAt(free.port),
    braked: transportAt(braked.port, { connections: 16 }),
    crowded: transportAt(crowded.port, { connections: 10, messages_per_connection: 7 }),
  };
  const routes = Object.fromEntries(Object.keys(transports).map((name) => [name, { failover: [name] }]));
  world = opened.use(
    await openWorld(
      { transports, routes: { ...routes, default: { failover: ['free'] } } },
      // Less often than what waits for it is looked at.
      { RETRY_SCHEDULE: '1s' },
    ),
  );
  await Promise.all([world.startWorker(), world.startWorker()]);
});
afterAll(() => opened.disposeAsync());

it('two connections are never three, and all mail goes out over them', async () => {
  const ids = await world.sendAll({ route: 'two' }, Array(80).fill({}));
  await until('all to arrive', () => two.bodies.length === 80);
  expect(arrivals(two).toSorted()).toEqual(ids.toSorted());
  expect(two.peak).toBe(2);
});

it('a server that grants fewer connections than configured gets all mail over those, and is in no trouble', async () => {
  const ids = await world.sendAll({ route: 'crowded' }, Array(120).fill({}));
  await until('all to arrive', () => crowded.bodies.length === 120);
  expect(arrivals(crowded).toSorted()).toEqual(ids.toSorted());
  const { granted, breaker } = (await world.states.read(['crowded'])).get('crowded') ?? {};
  expect(granted?.connections).toBeLessThanOrEqual(2);
  expect(breaker?.kind).toBe('closed');
  const { body } = await world.api.api('GET', '/v1/events?types=transport.degraded');
  expect(body.data).toEqual([]);
});

it('one connection serves two workers: mail of the worker without it waits in vain neither for a pool nor for a turn', async () => {
  const ids = await world.sendAll({ route: 'one' }, Array(150).fill({}));
  await until('all to arrive', () => one.bodies.length === 150);
  expect(arrivals(one).toSorted()).toEqual(ids.toSorted());
  expect(one.peak).toBe(1);
  for (let n = 0; n < 8; n++) await world.becomes(await world.send({ route: 'one' }), 'sent');
});

it('a server that asks for less gets less, and no attempt comes before its time', async () => {
  const ids = await world.sendAll({ route: 'braked' }, Array(10).fill({}));
  const factor = () => world.states.read(['braked']).then((states) => states.get('braked')?.brake?.factor);
  await until('the brake', async () => (await factor()) === 0.5);
  await until(
    'each to be tried twice',
    async () => braked.lines.filter((line) => line.startsWith('MAIL')).length >= 20,
  );
  isTooMuch = false;
  await until('all to arrive', () => ids.every((id) => arrivals(braked).includes(id)));
  const sent = await Promise.all(ids.map((id) => world.becomes(id, 'sent')));
  const attempts = sent.map(({ recipients }) => recipients[0]?.attempts ?? 0);
  expect(attempts.reduce((sum, count) => sum + count)).toBe(
    braked.lines.filter((line) => line.startsWith('MAIL')).length,
  );
});

it('mail for a slow server does not hold up mail for another', async () => {
  await world.sendAll({ route: 'slow' }, Array(600).fill({}));
  await until('it to be under way', () => slow.bodies.length > 1);
  const ids = await world.sendAll({}, Array(100).fill({}));
  await until('the others to arrive', () => ids.every((id) => arrivals(free).includes(id)));
  // Behind it they would be out only once most of it is.
  expect(slow.bodies.length).toBeLessThan(25);
});
