/** When a pool takes its server for one that hangs: it takes messages, answers none, and somebody waited in vain. */
import { describe, expect, it } from 'vitest';
import type { Lane } from '../../src/domain/lane.ts';
import type { SmtpTransport } from '../../src/outbound/smtp-transport.ts';
import { type Gate, makeGate } from '../support/gate.ts';
import { type Act, openScriptedSmtp } from '../support/scripted-smtp.ts';
import { send, transportTo } from '../support/smtp-transport.ts';
import { until } from '../support/until.ts';

const waitMs = 20;
const hangAfterMs = 1_000;

type World = AsyncDisposable & { readonly transport: SmtpTransport; readonly gate: Gate; pass(ms: number): void };

/** A server that answers a message (or does what else is said) when it is told to, and a clock that goes on when it is told to. */
async function openHanging(connections: number, inPlace?: Act): Promise<World> {
  await using opened = new AsyncDisposableStack();
  let at = 0;
  const gate = makeGate();
  const answer = async () => {
    await gate.pass();
    return inPlace;
  };
  const server = opened.use(await openScriptedSmtp((stage) => (stage === 'body' ? answer() : undefined)));
  const times = { waitMs, hangAfterMs, idleCloseMs: 3_600_000, now: () => at };
  const transport = opened.use(transportTo(server.port, { connections, maxAgeMs: 3_600_000 }, times));
  opened.defer(() => gate.open());
  const all = opened.move();
  return {
    ...{ transport, gate },
    pass(ms) {
      at += ms;
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

async function hold({ transport, gate }: World, count: number, lane?: Lane, reserve?: number) {
  const before = gate.held.length;
  const sending = Array.from({ length: count }, (_, n) => send(transport, `b${n}@x.co`, lane, reserve));
  await until('all to be in hand', () => gate.held.length === before + count);
  return sending;
}

async function waitInVain({ transport, pass }: World, lane?: Lane, reserve?: number): Promise<void> {
  const waiting = send(transport, 'late@x.co', lane, reserve);
  pass(waitMs);
  expect(await waiting).toEqual({ kind: 'withheld' });
}

/** A message that takes so long. */
async function take(world: World, ms: number): Promise<void> {
  const sending = await hold(world, 1);
  world.pass(ms);
  world.gate.letThrough();
  await Promise.all(sending);
}

describe('a server hangs', () => {
  it('once it has answered none of its messages for long, until it answers one', async () => {
    await using world = await openHanging(2);
    const sending = await hold(world, 2);
    await waitInVain(world);
    world.pass(hangAfterMs - waitMs - 1);
    expect(world.transport.pool).toMatchObject({ busy: 2, isStuck: true, isHanging: false });
    world.pass(1);
    expect(world.transport.pool).toMatchObject({ busy: 2, isStuck: true, isHanging: true });
    world.gate.held[0]?.();
    await Promise.race(sending);
    expect(world.transport.pool).toMatchObject({ busy: 1, isHanging: false });
  });

  it('as long as connections end one by one and none was answered, and no longer once the last has ended', async () => {
    await using world = await openHanging(2, 'drop');
    const sending = await hold(world, 2);
    await waitInVain(world);
    world.pass(hangAfterMs);
    expect(world.transport.pool).toMatchObject({ busy: 2, isHanging: true });
    for (const [n, isHanging] of [true, false].entries()) {
      world.gate.held[n]?.();
      expect(await sending[n]).toMatchObject({ kind: 'unknown' });
      expect(world.transport.pool).toMatchObject({ busy: 1 - n, isHanging });
    }
  });

  it.each([
    ['ten times as long as messages usually take', 200, 10 * 200],
    ['four times the least, however long they take', 900, 4 * hangAfterMs],
  ])('after %s', async (_, usualMs, hangMs) => {
    await using world = await openHanging(1);
    await take(world, usualMs);
    await hold(world, 1);
    await waitInVain(world);
    world.pass(hangMs - waitMs - 1);
    expect(world.transport.pool.isHanging).toBe(false);
    world.pass(1);
    expect(world.transport.pool.isHanging).toBe(true);
  });

  it('not while no message waits for it: one long message is no reason', async () => {
    await using world = await openHanging(2);
    await hold(world, 1);
    world.pass(10 * hangAfterMs);
    expect(world.transport.pool).toMatchObject({ busy: 1, isStuck: false, isHanging: false });
  });

  it('for bulk whose share gets no answers, but not while transactional mail is answered', async () => {
    await using world = await openHanging(4);
    await hold(world, 2, 'bulk', 0.5);
    world.pass(hangAfterMs);
    const answered = await hold(world, 1);
    world.gate.held.at(-1)?.();
    await Promise.all(answered);
    await waitInVain(world, 'bulk', 0.5);
    expect(world.transport.pool).toMatchObject({ busy: 2, isStuck: false, isHanging: false });
    world.pass(hangAfterMs);
    expect(world.transport.pool).toMatchObject({ busy: 2, isStuck: false, isHanging: true });
  });

  it('no longer where it is given more connections, until one of those hangs as well', async () => {
    await using world = await openHanging(1);
    await hold(world, 1);
    await waitInVain(world);
    world.pass(hangAfterMs);
    world.transport.allow(2);
    expect(world.transport.pool.isHanging).toBe(false);
    await hold(world, 1);
    await waitInVain(world);
    expect(world.transport.pool.isHanging).toBe(false);
    world.pass(hangAfterMs);
    expect(world.transport.pool.isHanging).toBe(true);
  });
});
