/** An email whose recipients need different transports: those whom one can take do not wait until the other is back. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openScriptedSmtp, type ScriptedSmtp } from '../support/scripted-smtp.ts';
import { openWorld, transportAt, type World } from '../support/transports-world.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let plain: ScriptedSmtp;
let able: ScriptedSmtp;
let world: World;
beforeAll(async () => {
  plain = opened.use(await openScriptedSmtp());
  able = opened.use(await openScriptedSmtp(undefined, { extensions: ['SMTPUTF8'] }));
  const transports = { plain: transportAt(plain.port), able: transportAt(able.port) };
  world = opened.use(await openWorld({ transports, routes: { default: { failover: ['plain', 'able'] } } }));
  await world.states.pause('able', 'k', Date.now());
  await world.startWorker();
});
afterAll(() => opened.disposeAsync());

it('goes to the one whom the first transport can take, and later to the other over the second', async () => {
  const id = await world.send({ to: 'plain@example.org', bcc: 'mü@example.org' });
  const states = async () => (await world.read(id)).recipients.map(({ status, transport }) => [status, transport]);
  await until('one to be sent', async () => (await states()).some(([status]) => status === 'sent'), states);
  await until('the other to wait', async () => (await world.parked('able')) === 1, states);
  expect(await states()).toEqual([
    ['sent', 'plain'],
    ['queued', null],
  ]);
  await world.states.resume('able');
  await world.becomes(id, 'sent');
  expect(await states()).toEqual([
    ['sent', 'plain'],
    ['sent', 'able'],
  ]);
  expect([plain.bodies.length, able.bodies.length]).toEqual([1, 1]);
});
