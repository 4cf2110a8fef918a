/** How the pool opens connections: quickly where the server is well, one at a time where it is not, never more than allowed. */
import { describe, expect, it } from 'vitest';
import type { Outcome } from '../../src/domain/outcome.ts';
import { makeGate } from '../support/gate.ts';
import { type Act, openScriptedSmtp } from '../support/scripted-smtp.ts';
import { send, sendMany, transportTo } from '../support/smtp-transport.ts';
import { until } from '../support/until.ts';

const kinds = (outcomes: readonly Outcome[]) => outcomes.map(({ kind }) => kind);
const nobody = 3_600_000;

describe('opening', () => {
  it('hands the fault of one connection to all that wait for it', async () => {
    await using server = await openScriptedSmtp((stage) => (stage === 'connect' ? '554 5.3.2 No service' : undefined));
    await using transport = transportTo(server.port, { connections: 10 });
    const outcomes = await sendMany(transport, 10);
    const fault = {
      kind: 'transport_fault',
      transport: 'default',
      cause: 'protocol',
      detail: expect.stringContaining('554 5.3.2 No service'),
    };
    expect(outcomes).toEqual([fault, ...Array(9).fill({ ...fault, isShared: true })]);
    expect(server.connections).toBe(1);
    expect((await sendMany(transport, 3)).every(({ kind }) => kind === 'transport_fault')).toBe(true);
    expect(server.connections).toBe(2);
  });

  it('begins with one, goes on with twice as many after each that went well, and 16 at most', async () => {
    const gate = makeGate();
    await using server = await openScriptedSmtp((stage) => {
      if (stage === 'connect') return gate.pass();
      return stage === 'body' ? 'stall' : undefined;
    });
    const transport = transportTo(server.port, { connections: 60 });
    const sending = sendMany(transport, 60);
    const waves: number[] = [];
    for (const wave of [1, 2, 8, 16, 16, 16, 1]) {
      await until('the next ones to connect', () => gate.held.length === wave);
      waves.push(gate.letThrough());
    }
    expect(waves.reduce((sum, wave) => sum + wave)).toBe(60);
    await until('all to be in hand', () => server.bodies.length === 60);
    expect(server.peak).toBe(60);
    await transport.close(0);
    expect(kinds(await sending)).toEqual(Array(60).fill('unknown'));
  });

  it('goes on one at a time after a fault', async () => {
    const gate = makeGate();
    let act: Act | undefined;
    await using server = await openScriptedSmtp((stage) => {
      if (stage === 'connect') return act;
      return stage === 'body' ? gate.pass() : undefined;
    });
    await using transport = transportTo(server.port, { connections: 10 });
    const sending = sendMany(transport, 10);
    await until('all to be in hand', () => gate.held.length === 10);
    gate.open();
    expect(kinds(await sending)).toEqual(Array(10).fill('answered'));
    act = 'drop';
    server.interrupt('drop');
    await until('all to be gone', () => transport.pool.open === 0);
    await sendMany(transport, 10);
    await until('those that were tried together to have failed', () => server.connections === 20 && server.open === 0);
    expect(await transport.probe()).toMatchObject({ kind: 'transport_fault' });
    const before = server.connections;
    expect(kinds(await sendMany(transport, 10))).toEqual(Array(10).fill('transport_fault'));
    expect(server.connections).toBe(before + 1);
  });

  it('goes on with the connections a server grants, when it grants fewer than allowed', async () => {
    let at = 0;
    await using server = await openScriptedSmtp((stage, _, connection) =>
      stage === 'connect' && connection > 2 ? '421 4.7.0 Too many connections' : undefined,
    );
    await using transport = transportTo(server.port, { connections: 5 }, { now: () => at, idleCloseMs: nobody });
    expect(kinds(await sendMany(transport, 30))).toEqual(Array(30).fill('answered'));
    expect(server.bodies).toHaveLength(30);
    const tried = server.connections;
    expect(tried).toBeLessThanOrEqual(4);
    expect(kinds(await sendMany(transport, 30))).toEqual(Array(30).fill('answered'));
    expect(server.connections).toBe(tried);
    at = 1_000;
    expect(kinds(await sendMany(transport, 30))).toEqual(Array(30).fill('answered'));
    expect(server.connections).toBeGreaterThan(tried);
    expect(transport.pool.open).toBe(2);
  });

  it('reports the fault to callers that wait for connections on which nothing happens any more', async () => {
    let at = 0;
    await using server = await openScriptedSmtp((stage, _, connection) => {
      if (stage === 'connect' && connection > 1) return 'drop';
      return stage === 'body' ? 'stall' : undefined;
    });
    const transport = transportTo(server.port, { connections: 2 }, { now: () => at });
    const silent = send(transport);
    await until('the first to be in hand', () => server.bodies.length === 1);
    at = 4_999;
    const patient = send(transport);
    await until('one more to have been tried', () => server.connections === 2 && server.open === 1);
    expect(transport.pool).toMatchObject({ open: 1, busy: 1, waiting: 1 });
    at = 5_000;
    const outcomes = await Promise.all([patient, send(transport)]);
    expect(outcomes.map((outcome) => 'cause' in outcome && outcome.cause)).toEqual(['connect', 'connect']);
    await transport.close(0);
    expect(await silent).toMatchObject({ kind: 'unknown' });
  });
});

describe('allowing', () => {
  it('fewer connections closes idle ones at once and others as they become free', async () => {
    const gate = makeGate();
    await using server = await openScriptedSmtp((stage) => (stage === 'body' ? gate.pass() : undefined));
    await using transport = transportTo(server.port, { connections: 6 });
    const sending = sendMany(transport, 3);
    await until('three to be in hand', () => gate.held.length === 3);
    for (let extra = 0; extra < 3; extra += 1) expect(await transport.probe()).toBeNull();
    expect(transport.pool).toMatchObject({ open: 6, busy: 3 });
    transport.allow(2);
    await until('the idle ones to be gone', () => server.open === 3);
    expect(transport.pool).toMatchObject({ open: 3, busy: 3 });
    gate.open();
    expect(kinds(await sending)).toEqual(Array(3).fill('answered'));
    await until('one more to be gone', () => server.open === 2);
    expect(transport.pool).toMatchObject({ open: 2, busy: 0 });
    expect(kinds(await sendMany(transport, 20))).toEqual(Array(20).fill('answered'));
    expect(server.connections).toBe(6);
  });

  it('more connections serves callers that wait', async () => {
    const gate = makeGate();
    await using server = await openScriptedSmtp((stage) => (stage === 'body' ? gate.pass() : undefined));
    await using transport = transportTo(server.port, { connections: 1 }, { waitMs: nobody });
    const sending = sendMany(transport, 4);
    await until('one to be in hand', () => gate.held.length === 1);
    expect(transport.pool).toMatchObject({ open: 1, waiting: 3 });
    transport.allow(3);
    await until('three to be in hand', () => gate.held.length === 3);
    expect(transport.pool).toMatchObject({ open: 3, busy: 3, waiting: 1 });
    gate.open();
    expect(kinds(await sending)).toEqual(Array(4).fill('answered'));
    expect(server.peak).toBe(3);
  });

  it('no connections withholds all mail until there are some again', async () => {
    await using server = await openScriptedSmtp();
    await using transport = transportTo(server.port, {}, { waitMs: 20 });
    transport.allow(0);
    expect(await send(transport)).toEqual({ kind: 'withheld' });
    expect(await send(transport, 'b@x.co', 'bulk')).toEqual({ kind: 'withheld' });
    expect(transport.pool).toMatchObject({ isStuck: true });
    expect(server.connections).toBe(0);
    transport.allow(1);
    expect(await send(transport)).toMatchObject({ kind: 'answered' });
  });
});

describe('a probe', () => {
  it('opens one connection, which the next message uses', async () => {
    await using server = await openScriptedSmtp();
    await using transport = transportTo(server.port);
    expect(await Promise.all([transport.probe(), transport.probe()])).toEqual([null, null]);
    expect(transport.pool).toMatchObject({ open: 1, busy: 0 });
    expect(await send(transport)).toMatchObject({ kind: 'answered' });
    expect(server.connections).toBe(1);
  });

  it('reports the fault, and that it is over', async () => {
    let act: Act | undefined = 'drop';
    await using server = await openScriptedSmtp((stage) => (stage === 'connect' ? act : undefined));
    await using transport = transportTo(server.port);
    expect(await transport.probe()).toMatchObject({ kind: 'transport_fault', cause: 'connect', transport: 'default' });
    act = undefined;
    expect(await transport.probe()).toBeNull();
  });

  it('opens one in the place of an idle one, and one too many for a moment when all are in use', async () => {
    const gate = makeGate();
    const used: number[] = [];
    await using server = await openScriptedSmtp((stage, _, connection) => {
      if (stage === 'MAIL') used.push(connection);
      return stage === 'body' ? gate.pass() : undefined;
    });
    await using transport = transportTo(server.port, { connections: 1 });
    expect(await transport.probe()).toBeNull();
    expect(await transport.probe()).toBeNull();
    expect(server.connections).toBe(2);
    await until('the first to be gone', () => server.open === 1);
    const sending = send(transport);
    await until('it to be in hand', () => gate.held.length === 1);
    expect(await transport.probe()).toBeNull();
    await until('the one too many to be gone', () => server.open === 1);
    expect(transport.pool).toMatchObject({ open: 1, busy: 1 });
    gate.open();
    expect(await sending).toMatchObject({ kind: 'answered' });
    expect(used).toEqual([2]);
  });
});
