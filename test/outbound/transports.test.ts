/** The transports of a plan that changes: kept, drained or opened, and never a message cut off by it. */
import { expect, it, onTestFinished } from 'vitest';
import type { TransportPlan } from '../../src/domain/transport-plan.ts';
import { openSandboxTransport } from '../../src/outbound/sandbox-transport.ts';
import { openTransports, type Transports } from '../../src/outbound/transports.ts';
import { makeGate } from '../support/gate.ts';
import { openScriptedSmtp } from '../support/scripted-smtp.ts';
import { openTransport, send } from '../support/smtp-transport.ts';
import { until } from '../support/until.ts';
import { failover, planTo } from '../support/worker.ts';

const open = (plan: TransportPlan) =>
  openTransports(plan, (settings) => openTransport(settings), [openSandboxTransport({ now: Date.now })]);
const one = (port: number, more: object = {}) => planTo({ one: { port, ...more } }, { default: failover('one') });

function get(transports: Transports, name = 'one') {
  const transport = transports.get(name);
  if (transport === null) throw new Error(`There is no ${name}`);
  return transport;
}

/** A server that holds the answer to each body. */
async function openHeld() {
  const gate = makeGate();
  const smtp = await openScriptedSmtp((stage) => (stage === 'body' ? gate.pass() : undefined));
  return { smtp, gate };
}

it('a transport has no connection before the fleet allots one', async () => {
  await using smtp = await openScriptedSmtp();
  await using transports = open(one(smtp.port));
  expect(await send(get(transports))).toEqual({ kind: 'withheld' });
  get(transports).allow(1);
  expect(await send(get(transports))).toMatchObject({ kind: 'answered' });
});

it('a change of rates and connections keeps a transport and its open connections', async () => {
  await using smtp = await openScriptedSmtp();
  await using transports = open(one(smtp.port));
  const kept = get(transports);
  kept.allow(1);
  await send(kept);
  transports.update(one(smtp.port, { connections: 9, rates: [{ count: 1, windowMs: 1_000 }] }));
  expect(get(transports)).toBe(kept);
  expect(transports.plan.transports.one).toMatchObject({ connections: 9 });
  expect(await send(kept)).toMatchObject({ kind: 'answered' });
  expect(smtp.connections).toBe(1);
});

it('a change of server or login drains the transport: messages in hand are finished, waiting ones go back', async () => {
  const { smtp, gate } = await openHeld();
  await using _smtp = smtp;
  await using other = await openScriptedSmtp();
  await using transports = open(one(smtp.port));
  const former = get(transports);
  former.allow(1);
  const inHand = send(former);
  await until('it to be in hand', () => gate.held.length === 1);
  const waiting = send(former);
  transports.update(one(other.port));
  const present = get(transports);
  expect(present).not.toBe(former);
  expect(await waiting).toEqual({ kind: 'withheld' });
  expect(await send(former)).toEqual({ kind: 'withheld' });
  present.allow(1);
  expect(await send(present)).toMatchObject({ kind: 'answered' });
  expect([smtp.open, other.bodies.length]).toEqual([1, 1]);
  gate.open();
  expect(await inHand).toMatchObject({ kind: 'answered', replies: [{ smtp: { code: 250 } }] });
  await until('the former connection to end', () => smtp.open === 0);
  expect(smtp.lines.at(-1)).toBe('QUIT');
});

const auth = { kind: 'password', user: 'u', pass: 'p', method: null } as const;

it.each<[string, object]>([
  ['login', { auth: { ...auth, pass: 'another' } }],
  ['host', { host: 'localhost' }],
  ['name for EHLO', { ehloName: 'mail.example' }],
  ['age of connections', { maxAgeMs: 1 }],
])('a change of the %s alone is for another transport', (_, more) => {
  const transports = open(one(1, { auth }));
  onTestFinished(() => transports[Symbol.asyncDispose]());
  const former = get(transports);
  transports.update(one(1, { auth }));
  expect(get(transports)).toBe(former);
  transports.update(one(1, { auth, ...more }));
  expect(get(transports)).not.toBe(former);
});

it('a transport that left the plan is gone, a built-in one stays', async () => {
  await using smtp = await openScriptedSmtp();
  await using transports = open(one(smtp.port));
  get(transports).allow(1);
  await send(get(transports));
  transports.update(planTo({ two: { port: smtp.port } }, { default: failover('two') }));
  expect(transports.get('one')).toBeNull();
  expect(get(transports, 'two').name).toBe('two');
  expect(get(transports, 'sandbox').name).toBe('sandbox');
  await until('its idle connection to end', () => smtp.open === 0);
});

it('dispose also ends connections that are still draining', async () => {
  const { smtp, gate } = await openHeld();
  await using _smtp = smtp;
  const transports = open(one(smtp.port));
  get(transports).allow(1);
  const inHand = send(get(transports));
  await until('it to be in hand', () => gate.held.length === 1);
  transports.update(planTo({ two: { port: smtp.port } }, { default: failover('two') }));
  await transports[Symbol.asyncDispose]();
  expect(await inHand).toMatchObject({ kind: 'unknown' });
});
