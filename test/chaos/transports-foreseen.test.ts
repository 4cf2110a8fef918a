/** Mail too large for the first transport of its route, while the rates of both are used up: it keeps neither of them from its own mail. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openScriptedSmtp, type ScriptedSmtp } from '../support/scripted-smtp.ts';
import { arrivals, openWorld, transportAt, type World } from '../support/transports-world.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let narrow: ScriptedSmtp;
let wide: ScriptedSmtp;
let world: World;
beforeAll(async () => {
  narrow = opened.use(await openScriptedSmtp(undefined, { extensions: ['PIPELINING', 'SIZE 3000'] }));
  wide = opened.use(await openScriptedSmtp());
  const rate = '5/s';
  const transports = { narrow: transportAt(narrow.port, { rate }), wide: transportAt(wide.port, { rate }) };
  const routes = { default: { failover: ['narrow', 'wide'] }, wide: { failover: ['wide'] } };
  world = opened.use(await openWorld({ transports, routes }));
  await world.startWorker();
});
afterAll(() => opened.disposeAsync());

it('large mail takes its turn at the second transport, whose other mail goes on as fast as that of the first', async () => {
  for (const route of ['default', 'wide']) await world.becomes(await world.send({ route }), 'sent');
  await world.sendAll({}, Array(20).fill({}));
  await world.sendAll({ route: 'wide' }, Array(20).fill({}));
  const large = await world.sendAll({ text: 'x'.repeat(6_000) }, Array(8).fill({}));
  await world.sendAll({}, Array(40).fill({}));
  const last = await world.sendAll({ route: 'wide' }, Array(40).fill({}));
  await until(
    'all small mail of the first to arrive',
    () => narrow.bodies.length === 61,
    () => [narrow.bodies.length, wide.bodies.length],
  );
  expect(wide.bodies.length).toBeGreaterThan(40);
  const order = arrivals(wide);
  const places = large.map((id) => order.indexOf(id));
  expect(Math.min(...places)).toBeGreaterThan(0);
  expect(Math.max(...places)).toBeLessThan(order.indexOf(last.find((id) => order.includes(id)) ?? ''));
});
