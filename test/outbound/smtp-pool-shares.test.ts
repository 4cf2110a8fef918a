/** The shares of those that wait for a connection: bulk while transactional mail takes all there is, and what waits beside a campaign. */
import { expect, it } from 'vitest';
import type { Outcome } from '../../src/domain/outcome.ts';
import type { Transport } from '../../src/outbound/transport.ts';
import { kinds, named } from '../support/followers.ts';
import { makeGate } from '../support/gate.ts';
import { openScriptedSmtp } from '../support/scripted-smtp.ts';
import { send, sendOfCampaign, transportTo } from '../support/smtp-transport.ts';
import { until } from '../support/until.ts';

const nobody = 3_600_000;

it('while both lanes wait, one in four connections goes to bulk, and every other of these to campaigns', async () => {
  const gate = makeGate();
  await using server = await openScriptedSmtp((stage) => (stage === 'body' ? gate.pass() : undefined));
  await using transport = transportTo(server.port, { connections: 1 });
  const all = [send(transport, 'first@x.co')];
  await until('the first to be in hand', () => gate.held.length === 1);
  const names = (kind: string, count: number) => Array.from({ length: count }, (_, n) => `${kind}${n}@x.co`);
  all.push(...names('reader', 3).map((to) => sendOfCampaign(transport, to)));
  all.push(...names('bulk', 2).map((to) => send(transport, to, 'bulk')));
  all.push(...names('code', 7).map((to) => send(transport, to)));
  gate.open();
  expect(kinds(await Promise.all(all))).toEqual(Array(13).fill('answered'));
  expect(named(server)).toEqual([
    ...['first', 'code0', 'code1', 'code2', 'reader0', 'code3', 'code4', 'code5', 'bulk0', 'code6'],
    ...['reader1', 'bulk1', 'reader2'],
  ]);
});

it.each<[string, (transport: Transport, to: string) => Promise<Outcome>, object]>([
  ['transactional', send, { transactional: 0, bulk: 4, campaign: 4 }],
  ['a campaign', sendOfCampaign, { transactional: 14, bulk: 7, campaign: 0 }],
])('has room for a share of bulk while %s takes all there is', async (_, flood, room) => {
  let at = 0;
  const gate = makeGate();
  await using server = await openScriptedSmtp((stage) => (stage === 'body' ? gate.pass() : undefined));
  const options = { patienceMs: 150, waitMs: nobody, now: () => at };
  await using transport = transportTo(server.port, { connections: 1 }, options);
  const all = Array.from({ length: 40 }, (_, n) => flood(transport, `f${n}@x.co`));
  await until('one to be in hand', () => gate.held.length === 1);
  at = 10;
  gate.letThrough();
  await until('the next to be in hand', () => gate.held.length === 1);
  // In 150 ms come fifteen places, of which one is for whoever follows already.
  expect(transport.pool).toMatchObject({ isStuck: false, room });
  gate.open();
  await Promise.all(all);
});

it('bulk whose messages take long holds a share of the connections and no more, while transactional mail waits', async () => {
  const [firsts, slow] = [makeGate(), makeGate()];
  const beside: number[] = [];
  await using server = await openScriptedSmtp((stage, line) => {
    if (stage !== 'RCPT') return undefined;
    if (line.includes('<code')) beside.push(slow.held.length);
    return line.includes('<bulk') ? slow.pass() : line.includes('<first') ? firsts.pass() : undefined;
  });
  await using transport = transportTo(server.port, { connections: 4 });
  const names = (kind: string, count: number) => Array.from({ length: count }, (_, n) => `${kind}${n}@x.co`);
  const others = names('first', 4).map((to) => send(transport, to));
  await until('all connections to be in use', () => firsts.held.length === 4);
  others.push(...names('bulk', 20).map((to) => send(transport, to, 'bulk', 0)));
  const codes = names('code', 40).map((to) => send(transport, to));
  firsts.open();
  await Promise.all(codes);
  // Once nobody waits before it, bulk may have them all.
  expect(new Set(beside.slice(10, -8))).toEqual(new Set([1]));
  slow.open();
  await Promise.all(others);
});

it.each([
  ['bulk', 'bulk'],
  ['bulk', 'campaign'],
  ['campaign', 'campaign'],
] as const)(
  '%s that leaves much to transactional mail keeps no connection from %s that leaves less',
  async (much, less) => {
    const gate = makeGate();
    await using server = await openScriptedSmtp((stage) => (stage === 'body' ? gate.pass() : undefined));
    await using transport = transportTo(server.port, { connections: 4 });
    const all = Array.from({ length: 3 }, (_, n) => send(transport, `much${n}@x.co`, much, 0.75));
    await until('one to be in hand', () => gate.held.length === 1);
    all.push(...Array.from({ length: 3 }, (_, n) => send(transport, `less${n}@x.co`, less, 0.25)));
    await until('as many to be in hand as leave a quarter', () => gate.held.length === 3);
    expect(transport.pool).toMatchObject({ open: 3, busy: 3, waiting: 3 });
    gate.open();
    expect(kinds(await Promise.all(all))).toEqual(Array(6).fill('answered'));
  },
);
