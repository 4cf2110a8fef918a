/** What becomes of a message whose envelope left with the body of another, whatever happens to either. */
import { describe, expect, it } from 'vitest';
import { codes, flood, followed, kinds, named } from '../support/followers.ts';
import { makeGate } from '../support/gate.ts';
import { openScriptedSmtp, type Script } from '../support/scripted-smtp.ts';
import { message, send, transportTo } from '../support/smtp-transport.ts';
import { until } from '../support/until.ts';

/** The nth time a stage is reached, something else happens; the number counts over all connections. */
function onThe(nth: number, stage: string, what: () => ReturnType<Script>): Script {
  let count = 0;
  return (reached) => (reached === stage && ++count === nth ? what() : undefined);
}

const one = { connections: 1 };

describe('a message whose envelope leaves with the body of another', () => {
  it('a follower is asked for only once the one before it is answered, and not sent when that is refused', async () => {
    const gate = makeGate();
    await using server = await openScriptedSmtp(onThe(2, 'body', gate.pass));
    await using transport = transportTo(server.port, one);
    const asked: string[] = [];
    const turn = { line: 'transactional', reserve: 0 } as const;
    const all = ['r0', 'r1', 'r2', 'r3'].map((name) =>
      transport.send(
        message(`${name}@x.co`),
        async () => {
          asked.push(name);
          return name !== 'r2';
        },
        turn,
      ),
    );
    await until('the envelope of the third to be there', () => followed(server) === 1);
    expect(asked).toEqual(['r0', 'r1']);
    gate.open();
    expect(kinds(await Promise.all(all))).toEqual(['answered', 'answered', 'withheld', 'answered']);
    expect(server.bodies).toHaveLength(3);
  });

  it('a follower goes over another connection when its own ends with the one before it', async () => {
    await using server = await openScriptedSmtp(onThe(2, 'body', () => 'drop'));
    await using transport = transportTo(server.port, one);
    expect(kinds(await flood(transport, 5))).toEqual(['answered', 'unknown', 'answered', 'answered', 'answered']);
    expect([server.connections, server.bodies.length]).toEqual([2, 5]);
    // That says nothing of followers: others do on the new connection.
    expect(followed(server)).toBeGreaterThan(1);
  });

  it('a follower goes over another connection when the server says goodbye to the one before it, whatever is said then', async () => {
    const all = ['421 4.3.2 Enough for now', '250 2.1.0 Ok', '250 2.1.5 Ok', '354 Go on'].join('\r\n');
    await using server = await openScriptedSmtp(onThe(2, 'body', () => all));
    await using transport = transportTo(server.port, one);
    let claims = 0;
    const claim = async () => ++claims > 0;
    const turn = { line: 'transactional', reserve: 0 } as const;
    const outcomes = await Promise.all(
      Array.from({ length: 5 }, (_, n) => transport.send(message(`r${n}@x.co`), claim, turn)),
    );
    expect(claims).toBe(5);
    expect(codes(outcomes)).toEqual([250, 421, 250, 250, 250]);
    expect(server.connections).toBe(2);
    expect(followed(server)).toBeGreaterThan(1);
  });

  it('a follower goes over another connection when the one before it takes too long, which is answered all the same', async () => {
    const gate = makeGate();
    const [thirdMail, secondBody] = [onThe(3, 'MAIL', () => 'stall'), onThe(2, 'body', gate.pass)];
    await using server = await openScriptedSmtp((...reached) => thirdMail(...reached) ?? secondBody(...reached));
    await using transport = transportTo(server.port, one, { patienceMs: 300, waitMs: 1_000 });
    const all = flood(transport, 3);
    await until('the third to follow', () => followed(server) === 1);
    expect(transport.pool).toMatchObject({ busy: 1, waiting: 1 });
    await until('the third to be given up, and to have waited by itself', () => transport.pool.waiting === 0);
    gate.open();
    expect(kinds(await all)).toEqual(['answered', 'answered', 'withheld']);
    // What was begun for it comes to nothing.
    expect(server.bodies).toHaveLength(2);
    await until('that connection to be closed', () => server.open === 0);
    expect(await send(transport)).toMatchObject({ kind: 'answered' });
  });

  it('a follower has its own time for an answer, which begins when the one before it was answered', async () => {
    let now = 0;
    const [gate, mailGate] = [makeGate(), makeGate()];
    await using server = await openScriptedSmtp((stage) => {
      const { length } = server.bodies;
      if (stage === 'body' && length === 2) return gate.pass();
      return stage === 'MAIL' && length === 2 ? mailGate.pass() : undefined;
    });
    await using transport = transportTo(server.port, one, { now: () => now });
    const all = flood(transport, 3);
    await until('the third to follow', () => gate.held.length === 1);
    now += 70_000;
    gate.open();
    await until('it to be asked for', () => mailGate.held.length === 1);
    mailGate.open();
    expect(kinds(await all)).toEqual(Array(3).fill('answered'));
    expect(server.connections).toBe(1);
  });

  it('a follower that the server cannot take fails with that reason, and its connection goes on', async () => {
    const gate = makeGate();
    await using server = await openScriptedSmtp(onThe(2, 'body', gate.pass), {
      extensions: ['PIPELINING', 'SIZE 100'],
    });
    await using transport = transportTo(server.port, one);
    const large = { ...message('large@x.co'), raw: Buffer.alloc(200, 'a') };
    const turn = { line: 'transactional', reserve: 0 } as const;
    const all = [send(transport, 'r0@x.co'), send(transport, 'r1@x.co'), transport.send(large, async () => true, turn)];
    await until('the second to be in hand', () => gate.held.length === 1);
    expect(transport.pool).toMatchObject({ busy: 1, waiting: 1 });
    gate.open();
    expect(kinds(await Promise.all(all))).toEqual(['answered', 'answered', 'obstacle']);
    expect(transport.pool).toMatchObject({ open: 1, busy: 0, waiting: 0 });
    expect(await send(transport)).toMatchObject({ kind: 'answered' });
    expect(server.connections).toBe(1);
  });

  it('a follower that the server cannot take leaves a connection that ends when the server says so', async () => {
    await using server = await openScriptedSmtp(undefined, { extensions: ['PIPELINING', 'SIZE 100'] });
    await using transport = transportTo(server.port, one, { idleCloseMs: 3_600_000 });
    const large = { ...message('large@x.co'), raw: Buffer.alloc(200, 'a') };
    const turn = { line: 'transactional', reserve: 0 } as const;
    await Promise.all([flood(transport, 2), transport.send(large, async () => true, turn)]);
    expect(transport.pool.open).toBe(1);
    server.interrupt('421 4.3.2 Good night');
    await until('it to be gone', () => transport.pool.open === 0);
    expect(await send(transport)).toMatchObject({ kind: 'answered' });
  });

  it('a follower follows no other again once it was passed over', async () => {
    await using server = await openScriptedSmtp((stage) => (stage === 'body' ? '421 4.3.2 One at a time' : undefined));
    await using transport = transportTo(server.port, one);
    expect(codes(await flood(transport, 8))).toEqual(Array(8).fill(421));
    const times = Map.groupBy(named(server), (name) => name);
    expect(Math.max(...[...times.values()].map(({ length }) => length))).toBe(2);
    expect(transport.pool).toMatchObject({ busy: 0, waiting: 0 });
  });

  it('a follower that is claimed is not asked for again, whatever becomes of its connection', async () => {
    const goodbye = '354 Go on\r\n421 4.3.2 Shutting down';
    await using server = await openScriptedSmtp(onThe(3, 'DATA', () => goodbye));
    await using transport = transportTo(server.port, one);
    const claims: string[] = [];
    const outcomes = await Promise.all(
      ['r0', 'r1', 'r2', 'r3'].map((name) =>
        transport.send(message(`${name}@x.co`), async () => claims.push(name) > 0, {
          line: 'transactional',
          reserve: 0,
        }),
      ),
    );
    expect(followed(server)).toBeGreaterThan(0);
    expect(claims).toEqual(['r0', 'r1', 'r2', 'r3']);
    expect(kinds(outcomes)).toEqual(['answered', 'answered', 'transport_fault', 'answered']);
    expect(server.bodies).toHaveLength(3);
  });

  it('a follower that was passed over has the next connection that is free', async () => {
    await using server = await openScriptedSmtp(onThe(50, 'body', () => '421 4.3.2 Enough for now'));
    await using transport = transportTo(server.port, { connections: 2 });
    let sent = 0;
    // Others always wait, and come after it.
    const caller = async () => {
      while (sent < 200) expect(await send(transport, `r${sent++}@x.co`)).toMatchObject({ kind: 'answered' });
    };
    await Promise.all(Array.from({ length: 8 }, caller));
    const names = named(server);
    const again = names.findIndex((name, n) => names.indexOf(name) < n);
    expect(again - names.indexOf(names[again] ?? '')).toSatisfy((later: number) => later > 0 && later < 20);
  });

  it('a follower is sent when the transport closes meanwhile', async () => {
    const gate = makeGate();
    await using server = await openScriptedSmtp(onThe(2, 'body', gate.pass));
    const transport = transportTo(server.port, one);
    const all = flood(transport, 3);
    await until('the third to follow', () => followed(server) === 1);
    const closed = transport.close(60_000);
    gate.open();
    expect(kinds(await all)).toEqual(['answered', 'answered', 'answered']);
    await closed;
    await until('the connection to be closed', () => server.open === 0);
  });
});
