/** The envelope of the next message in one write with a body (RFC 2920 section 3.1): who follows whom. */
import { Socket } from 'node:net';
import { describe, expect, it, vi } from 'vitest';
import { flood, followed, kinds, named } from '../support/followers.ts';
import { makeGate } from '../support/gate.ts';
import { openScriptedSmtp } from '../support/scripted-smtp.ts';
import { message, send, transportTo, turn } from '../support/smtp-transport.ts';
import { until } from '../support/until.ts';

const one = { connections: 1 };

describe('while more messages wait than there are connections', () => {
  it('the envelope of the next leaves with the body of the one before', async () => {
    await using server = await openScriptedSmtp();
    await using transport = transportTo(server.port, one);
    expect(kinds(await flood(transport, 5))).toEqual(Array(5).fill('answered'));
    // How long a message takes is not known before the first.
    expect(followed(server)).toBe(3);
    expect(server.bodies).toHaveLength(5);
    expect(named(server)).toEqual(['r0', 'r1', 'r2', 'r3', 'r4']);
  });

  it('no message follows to a server without PIPELINING', async () => {
    await using server = await openScriptedSmtp(undefined, { extensions: [] });
    await using transport = transportTo(server.port, one);
    expect(kinds(await flood(transport, 4))).toEqual(Array(4).fill('answered'));
    expect(followed(server)).toBe(0);
  });

  it('no message follows where each has a connection', async () => {
    await using server = await openScriptedSmtp();
    await using transport = transportTo(server.port, { connections: 4 });
    for (let round = 0; round < 3; round++) await flood(transport, 4);
    expect(followed(server)).toBe(0);
  });

  it('a connection has no more messages than it may', async () => {
    await using server = await openScriptedSmtp();
    await using transport = transportTo(server.port, { connections: 1, messagesPerConnection: 2 });
    expect(kinds(await flood(transport, 6))).toEqual(Array(6).fill('answered'));
    expect(server.connections).toBe(3);
  });

  it('a transactional one goes before bulk that waited longer, and bulk follows bulk alone', async () => {
    const gate = makeGate();
    let isHeld = false;
    await using server = await openScriptedSmtp((stage) => (isHeld && stage === 'DATA' ? gate.pass() : undefined));
    await using transport = transportTo(server.port, one);
    await send(transport, 'before@x.co');
    isHeld = true;
    const first = send(transport, 'first@x.co', 'bulk');
    await until('the first to be on its way', () => gate.held.length === 1);
    const more = [send(transport, 'second@x.co', 'bulk'), send(transport, 'urgent@x.co')];
    gate.open();
    expect(kinds(await Promise.all([first, ...more]))).toEqual(Array(3).fill('answered'));
    expect(named(server)).toEqual(['before', 'first', 'urgent', 'second']);
    expect(followed(server)).toBe(1);
  });

  it('bulk whose turn it is has the next connection that is free, while messages follow on the others', async () => {
    const gate = makeGate();
    let isHeld = false;
    await using server = await openScriptedSmtp((stage) => (isHeld && stage === 'DATA' ? gate.pass() : undefined));
    await using transport = transportTo(server.port, { connections: 2 });
    await flood(transport, 10);
    isHeld = true;
    const before = followed(server);
    const all = [flood(transport, 2)];
    await until('both to be on their way', () => gate.held.length === 2);
    all.push(flood(transport, 3), Promise.all([send(transport, 'bulk@x.co', 'bulk')]), flood(transport, 20));
    gate.open();
    await Promise.all(all);
    const place = named(server).slice(10).indexOf('bulk');
    expect([place > 2, place < 10]).toEqual([true, true]);
    expect(followed(server) - before).toBeGreaterThan(12);
  });

  it('each connection has one that follows, while there are as many', async () => {
    const gate = makeGate();
    let isHeld = false;
    await using server = await openScriptedSmtp((stage) => (isHeld && stage === 'body' ? gate.pass() : undefined));
    await using transport = transportTo(server.port, { connections: 2 });
    await flood(transport, 10);
    isHeld = true;
    const before = followed(server);
    const all = [flood(transport, 2)];
    await until('both to be in hand', () => gate.held.length === 2);
    all.push(flood(transport, 4));
    gate.letThrough();
    await until('two more to be in hand', () => gate.held.length === 2);
    expect(followed(server) - before).toBe(2);
    gate.open();
    await Promise.all(all);
  });

  it('bulk takes no more of the connections than its share by following', async () => {
    const gate = makeGate();
    let isHeld = false;
    await using server = await openScriptedSmtp((stage) => (isHeld && stage === 'DATA' ? gate.pass() : undefined));
    await using transport = transportTo(server.port, { connections: 2 });
    await flood(transport, 10);
    isHeld = true;
    const before = followed(server);
    const all = ['r0', 'r1'].map((name) => send(transport, `${name}@x.co`, 'bulk', 0));
    await until('both to be on their way', () => gate.held.length === 2);
    all.push(...['r2', 'r3'].map((name) => send(transport, `${name}@x.co`, 'bulk', 0.5)));
    gate.open();
    expect(kinds(await Promise.all(all))).toEqual(Array(4).fill('answered'));
    expect(followed(server) - before).toBe(0);
  });

  it('no message follows if another connection could be opened for it', async () => {
    const gate = makeGate();
    let connections = 0;
    await using server = await openScriptedSmtp((stage) =>
      stage === 'connect' && ++connections > 1 ? gate.pass() : undefined,
    );
    await using transport = transportTo(server.port, { connections: 2 });
    await send(transport);
    const all = flood(transport, 4);
    await until('one to wait for another connection', () => gate.held.length === 1);
    await until('others to be sent meanwhile', () => server.bodies.length >= 3);
    expect(followed(server)).toBe(0);
    gate.open();
    await all;
  });

  it('a transactional one follows only where each connection could have one', async () => {
    const gate = makeGate();
    let isHeld = false;
    await using server = await openScriptedSmtp((stage) => (isHeld && stage === 'DATA' ? gate.pass() : undefined));
    await using transport = transportTo(server.port, { connections: 2 });
    await flood(transport, 10);
    isHeld = true;
    const before = followed(server);
    const all = [flood(transport, 2, 'bulk', 0)];
    await until('both to be on their way', () => gate.held.length === 2);
    all.push(flood(transport, 2, 'bulk', 0), flood(transport, 1));
    gate.letThrough();
    await until('two more to be on their way', () => gate.held.length === 2);
    // It has the connection that is free first, and not the one whose body leaves next.
    expect(followed(server) - before).toBe(0);
    gate.open();
    await Promise.all(all);
  });

  it('no message follows a large body', async () => {
    await using server = await openScriptedSmtp();
    await using transport = transportTo(server.port, one);
    await flood(transport, 10);
    const before = followed(server);
    const large = { ...message('large@x.co'), raw: Buffer.alloc(300_000, 'a\r\n') };
    await Promise.all(Array.from({ length: 3 }, () => transport.send(large, async () => true, turn)));
    expect(followed(server) - before).toBe(0);
  });

  it('both leave in one write', async () => {
    await using server = await openScriptedSmtp();
    await using transport = transportTo(server.port, one);
    const { prototype } = Socket as unknown as { prototype: { _writev(chunks: { chunk: string | Buffer }[]): void } };
    using writes = vi.spyOn(prototype, '_writev');
    await flood(transport, 3);
    const written = writes.mock.calls.map(([chunks]) => chunks.map(({ chunk }) => String(chunk)));
    expect(written).toEqual([[expect.stringMatching(/\r\n\.\r\n$/), expect.stringMatching(/^MAIL FROM.*DATA\r\n$/s)]]);
  });

  it('no message follows one that its server takes long for', async () => {
    const gate = makeGate();
    await using server = await openScriptedSmtp((stage) => (stage === 'body' ? gate.pass() : undefined));
    // Its messages take longer than that, however fast they are.
    await using transport = transportTo(server.port, one, { patienceMs: 0.001 });
    const all = [send(transport, 'r0@x.co')];
    for (let n = 1; n < 4; n++) {
      await until('one to be in hand', () => gate.held.length === 1);
      all.push(send(transport, `r${n}@x.co`));
      gate.letThrough();
    }
    gate.open();
    expect(kinds(await Promise.all(all))).toEqual(Array(4).fill('answered'));
    expect(followed(server)).toBe(0);
  });
});
