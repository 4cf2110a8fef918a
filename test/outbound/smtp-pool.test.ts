/** The pool over real connections: who goes first, who waits and for how long, when connections open and close. */
import { describe, expect, it } from 'vitest';
import type { Outcome } from '../../src/domain/outcome.ts';
import { endlessPool } from '../../src/outbound/transport.ts';
import { makeGate } from '../support/gate.ts';
import { openScriptedSmtp, type ScriptedSmtp } from '../support/scripted-smtp.ts';
import { send, transportTo } from '../support/smtp-transport.ts';
import { until } from '../support/until.ts';

const kinds = (outcomes: readonly Outcome[]) => outcomes.map(({ kind }) => kind);
const nobody = 3_600_000;

/** A server that answers a message only once it is told to. */
async function openHoldingSmtp(): Promise<ScriptedSmtp & { letGo(): void; readonly held: number }> {
  const gate = Promise.withResolvers<undefined>();
  let held = 0;
  const server = await openScriptedSmtp((stage) => {
    if (stage !== 'body') return undefined;
    held += 1;
    return gate.promise;
  });
  // Getters of the server must stay getters.
  return Object.defineProperties(server as ScriptedSmtp & { letGo(): void; readonly held: number }, {
    held: { get: () => held },
    letGo: { value: () => gate.resolve(undefined) },
  });
}

describe('lanes', () => {
  it('bulk leaves the reserved share of the connections to transactional', async () => {
    await using server = await openHoldingSmtp();
    await using transport = transportTo(server.port, { connections: 4 });
    const bulk = Array.from({ length: 5 }, (_, at) => send(transport, `bulk${at}@x.co`, 'bulk', 0.25));
    await until('three to be in hand', () => server.held === 3);
    expect(transport.pool).toMatchObject({ busy: 3, waiting: 2 });
    const urgent = send(transport, 'urgent@x.co');
    await until('the urgent one to be in hand', () => server.held === 4);
    expect(transport.pool).toMatchObject({ open: 4, busy: 4, waiting: 2 });
    server.letGo();
    expect(kinds(await Promise.all([...bulk, urgent]))).toEqual(Array(6).fill('answered'));
    expect(server.peak).toBe(4);
  });

  it('bulk may use an only connection, and idle ones no further than its share', async () => {
    await using server = await openHoldingSmtp();
    await using one = transportTo(server.port, { connections: 1 });
    const first = send(one, 'b@x.co', 'bulk', 1);
    await until('it to be in hand', () => server.held === 1);
    await using two = transportTo(server.port, { connections: 2 });
    expect(await two.probe()).toBeNull();
    expect(await two.probe()).toBeNull();
    const more = [send(two, 'c@x.co', 'bulk', 0.5), send(two, 'd@x.co', 'bulk', 0.5)];
    await until('one of two to be in hand', () => server.held === 2);
    expect(two.pool).toMatchObject({ open: 2, busy: 1, waiting: 1 });
    server.letGo();
    expect(kinds(await Promise.all([first, ...more]))).toEqual(Array(3).fill('answered'));
  });

  it('transactional that waits goes before bulk that waited longer', async () => {
    await using server = await openHoldingSmtp();
    await using transport = transportTo(server.port, { connections: 1 });
    const all = [send(transport, 'first@x.co')];
    await until('the first to be in hand', () => server.held === 1);
    all.push(send(transport, 'bulk@x.co', 'bulk'), send(transport, 'one@x.co'), send(transport, 'two@x.co'));
    server.letGo();
    expect(kinds(await Promise.all(all))).toEqual(Array(4).fill('answered'));
    expect(server.lines.flatMap((line) => /^RCPT TO:<(\w+)@/.exec(line)?.[1] ?? [])).toEqual([
      'first',
      'one',
      'two',
      'bulk',
    ]);
  });
});

describe('a wait', () => {
  it('that ends without a connection is withheld, and the pool is stuck until one becomes free', async () => {
    await using server = await openHoldingSmtp();
    await using transport = transportTo(server.port, { connections: 1 }, { waitMs: 20 });
    const first = send(transport);
    await until('the first to be in hand', () => server.held === 1);
    let wasClaimed = false;
    const claim = async () => {
      wasClaimed = true;
      return true;
    };
    const envelope = { from: 'a@x.co', to: ['b@x.co'] };
    const late = { emailId: 'em_2', envelope, raw: Buffer.from('Subject: s\r\n\r\n') };
    expect(await transport.send(late, claim, { line: 'transactional', reserve: 0 })).toEqual({ kind: 'withheld' });
    expect(wasClaimed).toBe(false);
    expect(transport.pool).toMatchObject({ open: 1, busy: 1, waiting: 0, isStuck: true });
    server.letGo();
    expect(await first).toMatchObject({ kind: 'answered' });
    expect(transport.pool).toMatchObject({ open: 1, busy: 0, waiting: 0, isStuck: false });
  });

  it('in vain no longer counts as soon as a connection comes back, though another message takes it', async () => {
    let at = 0;
    const gate = makeGate();
    await using server = await openScriptedSmtp((stage) => (stage === 'body' ? gate.pass() : undefined));
    await using transport = transportTo(server.port, { connections: 1 }, { waitMs: 20, now: () => at });
    const first = send(transport);
    await until('the first to be in hand', () => gate.held.length === 1);
    const second = send(transport);
    at = 20;
    expect(await second).toEqual({ kind: 'withheld' });
    const third = send(transport);
    expect(transport.pool).toMatchObject({ open: 1, busy: 1, waiting: 1, isStuck: true });
    gate.letThrough();
    expect(await first).toMatchObject({ kind: 'answered' });
    expect(transport.pool).toMatchObject({ open: 1, busy: 1, waiting: 0, isStuck: false });
    await until('the third to be in hand', () => gate.held.length === 1);
    gate.open();
    expect(await third).toMatchObject({ kind: 'answered' });
  });

  it('of bulk in vain does not make the pool stuck while transactional has its share', async () => {
    await using server = await openHoldingSmtp();
    await using transport = transportTo(server.port, { connections: 2 }, { waitMs: 20 });
    const first = send(transport, 'b@x.co', 'bulk', 0.5);
    await until('the first to be in hand', () => server.held === 1);
    expect(await send(transport, 'b@x.co', 'bulk', 0.5)).toEqual({ kind: 'withheld' });
    expect(transport.pool).toMatchObject({ busy: 1, isStuck: false });
    server.letGo();
    expect(await first).toMatchObject({ kind: 'answered' });
  });

  it('for a server that does not answer ends as withheld, except for the message that learns the outcome', async () => {
    const end = Promise.withResolvers<'drop'>();
    await using server = await openScriptedSmtp((stage) => (stage === 'connect' ? end.promise : undefined));
    await using transport = transportTo(server.port, {}, { waitMs: 20 });
    const learns = send(transport);
    const others = [send(transport), send(transport, 'b@x.co', 'bulk')];
    expect(await Promise.all(others)).toEqual([{ kind: 'withheld' }, { kind: 'withheld' }]);
    expect(transport.pool).toMatchObject({ open: 0, waiting: 1, isStuck: true });
    end.resolve('drop');
    expect(await learns).toMatchObject({ kind: 'transport_fault', cause: 'connect' });
    expect(server.connections).toBe(1);
    expect(transport.pool).toMatchObject({ waiting: 0, isStuck: false });
  });
});

describe('closing', () => {
  it('lets what is in hand finish, ends waits at once, says QUIT on idle connections', async () => {
    await using server = await openHoldingSmtp();
    const transport = transportTo(server.port, { connections: 2 }, { waitMs: nobody });
    expect(await transport.probe()).toBeNull();
    const sending = send(transport, 'b@x.co', 'bulk', 0.5);
    await until('it to be in hand', () => server.held === 1);
    expect(await transport.probe()).toBeNull();
    const waiting = send(transport, 'c@x.co', 'bulk', 0.5);
    let isClosed = false;
    const closing = transport.close(nobody).then(() => {
      isClosed = true;
    });
    expect(await waiting).toEqual({ kind: 'withheld' });
    expect(await send(transport)).toEqual({ kind: 'withheld' });
    await until('the idle connection to be gone', () => server.open === 1);
    expect(server.lines.filter((line) => line === 'QUIT')).toHaveLength(1);
    expect(isClosed).toBe(false);
    server.letGo();
    expect(await sending).toMatchObject({ kind: 'answered' });
    await closing;
    await until('the other to be gone', () => server.open === 0);
    expect(server.lines.filter((line) => line === 'QUIT')).toHaveLength(2);
    expect(transport.pool).toMatchObject({ open: 0, busy: 0, waiting: 0 });
    expect(await transport.probe()).toMatchObject({ kind: 'transport_fault' });
  });

  it('waits no longer than it may, and less when asked again', async () => {
    await using server = await openHoldingSmtp();
    const transport = transportTo(server.port);
    const sending = send(transport);
    await until('it to be in hand', () => server.held === 1);
    const closing = transport.close(nobody);
    await transport.close(1);
    await closing;
    expect(await sending).toMatchObject({ kind: 'unknown' });
    await until('the connection to be gone', () => server.open === 0);
  });

  it('ends a connection that is being opened', async () => {
    await using server = await openScriptedSmtp((stage) => (stage === 'connect' ? 'stall' : undefined));
    const transport = transportTo(server.port);
    const waiting = send(transport);
    await until('it to connect', () => server.open === 1);
    await transport.close(nobody);
    expect(await waiting).toEqual({ kind: 'withheld' });
    await until('the connection to be gone', () => server.open === 0);
  });
});

describe('a connection', () => {
  it.each([
    [0, 1_000],
    [1, 800],
  ])('is closed when it comes back too old: with chance %d at %d ms of 1000', async (chance, ageMs) => {
    let at = 0;
    await using server = await openScriptedSmtp();
    const options = { now: () => at, rand: () => chance, idleCloseMs: nobody };
    await using transport = transportTo(server.port, { maxAgeMs: 1_000 }, options);
    expect(await send(transport)).toMatchObject({ kind: 'answered' });
    at = ageMs - 1;
    expect(await send(transport)).toMatchObject({ kind: 'answered' });
    expect(transport.pool.open).toBe(1);
    const sending = send(transport);
    at = ageMs;
    expect(await sending).toMatchObject({ kind: 'answered' });
    expect(transport.pool.open).toBe(0);
    expect(await send(transport)).toMatchObject({ kind: 'answered' });
    expect(server.connections).toBe(2);
    expect(server.lines.filter((line) => line === 'QUIT')).toHaveLength(1);
  });

  it.each([
    ['too old', { maxAgeMs: 30 }, {}],
    ['idle for long', {}, { idleCloseMs: 30 }],
  ])('that is %s ends with QUIT without being used again', async (_, settings, options) => {
    await using server = await openScriptedSmtp();
    await using transport = transportTo(server.port, settings, options);
    expect(await send(transport)).toMatchObject({ kind: 'answered' });
    await until('it to be gone', () => server.connections === 1 && server.open === 0);
    expect(server.lines.at(-1)).toBe('QUIT');
    expect(transport.pool.open).toBe(0);
    expect(await send(transport)).toMatchObject({ kind: 'answered' });
  });

  it.each(['drop', 'reset', 'half-close', '421 4.4.2 Idle for too long'] as const)(
    'that the server ends while it is idle (%s) is forgotten',
    async (act) => {
      await using server = await openScriptedSmtp();
      await using transport = transportTo(server.port, { connections: 1 });
      expect(await send(transport)).toMatchObject({ kind: 'answered' });
      server.interrupt(act);
      await until('it to be forgotten', () => transport.pool.open === 0);
      expect(await send(transport)).toMatchObject({ kind: 'answered' });
      expect(server.connections).toBe(2);
    },
  );
});

describe('a server that takes its time', () => {
  it('has a message take that long, as most of the last ones that it accepted did', async () => {
    let at = 0;
    let takesMs = 290_000;
    let reply: string | undefined;
    await using server = await openScriptedSmtp((stage) => {
      if (stage === 'MAIL') at += takesMs;
      return stage === 'body' ? reply : undefined;
    });
    await using transport = transportTo(server.port, { connections: 1 }, { now: () => at });
    const sendIn = async (...times: readonly number[]) => {
      for (takesMs of times) await send(transport);
      return transport.pool.acceptedMs;
    };
    expect(await sendIn()).toBeNull();
    // One alone may have been an exception.
    expect(await sendIn(290_000, 200)).toBeNull();
    expect(await sendIn(210)).toBe(210);
    expect(await sendIn(190, 200, 200, 290_000)).toBe(200);
    expect(await sendIn(40, 40, 40, 40, 40)).toBe(40);
    for (reply of ['421 4.7.0 Slow down', '550 5.7.1 No', '451 4.3.0 Later']) await sendIn(1, 1, 1);
    expect(transport.pool.acceptedMs).toBe(40);
  });

  it('lets no message wait that would wait too long; transactional mail waits only for its own kind', async () => {
    const gate = makeGate();
    await using server = await openScriptedSmtp((stage) => (stage === 'body' ? gate.pass() : undefined));
    await using transport = transportTo(server.port, { connections: 2 }, { patienceMs: 1, waitMs: nobody });
    expect(transport.pool.room).toEqual(endlessPool.room);
    const all = Array.from({ length: 6 }, (_, at) => send(transport, `b${at}@x.co`, 'bulk', 0));
    all.push(send(transport, 't@x.co'));
    await until('two to be in hand', () => gate.held.length === 2);
    const begunAt = performance.now();
    await until('it to take a while', () => performance.now() - begunAt > 2);
    gate.letThrough();
    // Two in hand and one that waits are all it may have, as each takes longer than 1 ms.
    await until('those beyond to be sent back', () => transport.pool.waiting <= 1);
    expect(transport.pool.room.bulk).toBeLessThanOrEqual(1);
    gate.open();
    const outcomes = kinds(await Promise.all(all));
    expect(outcomes.filter((kind) => kind === 'withheld').length).toBeGreaterThanOrEqual(2);
    expect(outcomes.at(-1)).toBe('answered');
    await until('it to be free', () => transport.pool.busy === 0);
    expect(transport.pool).toMatchObject({ isStuck: false, room: { transactional: 3, bulk: 3 } });
  });

  it('is stuck while it may have no connection, and waiting messages go back at once', async () => {
    await using server = await openScriptedSmtp(() => 'stall');
    await using transport = transportTo(server.port, { connections: 1 });
    const waiting = send(transport);
    expect(transport.pool).toMatchObject({ waiting: 1, isStuck: false });
    transport.allow(0);
    expect(await waiting).toEqual({ kind: 'withheld' });
    expect(transport.pool).toMatchObject({ waiting: 0, isStuck: true, room: { transactional: 0, bulk: 0 } });
  });
});
