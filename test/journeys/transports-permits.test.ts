/** Mail that was parked for the rate of one transport and goes over another meanwhile: all of it goes on at that rate, as nobody keeps a permit. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openScriptedSmtp, type ScriptedSmtp } from '../support/scripted-smtp.ts';
import { arrivals, openWorld, transportAt, type World } from '../support/transports-world.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let first: ScriptedSmtp;
let second: ScriptedSmtp;
let world: World;
beforeAll(async () => {
  first = opened.use(await openScriptedSmtp());
  second = opened.use(await openScriptedSmtp());
  const transports = { first: transportAt(first.port), second: transportAt(second.port, { rate: '10/s' }) };
  world = opened.use(await openWorld({ transports, routes: { default: { failover: ['first', 'second'] } } }));
  await world.states.pause('first', 'k', Date.now());
  await world.startWorker();
});
afterAll(() => opened.disposeAsync());

it('mail that waits for the rate of the second transport goes over the first of its route once that is back, without a pause', async () => {
  const ids = await world.sendAll({}, Array(50).fill({}));
  await until('some to go over the second', () => second.bodies.length > 2);
  await world.states.resume('first');
  const came = () => first.bodies.length + second.bodies.length;
  await until(
    'all to arrive',
    () => came() === 50,
    () => [first.bodies.length, second.bodies.length],
  );
  expect(arrivals(first, second).toSorted()).toEqual(ids.toSorted());
  expect(first.bodies.length).toBeGreaterThan(10);
});
