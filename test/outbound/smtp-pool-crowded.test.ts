/** A pool whose server takes fewer connections than the pool may open: it is well, and all mail goes over those it grants. */
import { expect, it } from 'vitest';
import type { Outcome } from '../../src/domain/outcome.ts';
import { openCrowdedSmtp, tooMany } from '../support/crowded-smtp.ts';
import { makeGate } from '../support/gate.ts';
import { send, sendMany, transportTo } from '../support/smtp-transport.ts';
import { until } from '../support/until.ts';

const nobody = 3_600_000;
const kinds = (outcomes: readonly Outcome[]) => outcomes.map(({ kind }) => kind);

it.each([1, 2, 5])(
  'all goes when the last connection has ended and %d of many opened at once are granted',
  async (few) => {
    const gate = makeGate();
    let granted = 10;
    await using server = await openCrowdedSmtp(
      () => granted,
      (stage) => (stage === 'body' ? gate.pass() : undefined),
    );
    await using transport = transportTo(server.port, { connections: 10 }, { idleCloseMs: nobody, waitMs: nobody });
    const first = sendMany(transport, 10);
    await until('all to be in hand', () => gate.held.length === 10);
    gate.open();
    await first;
    server.interrupt('drop');
    await until('all to be gone', () => transport.pool.open === 0 && server.open === 0);
    granted = few;
    expect(kinds(await sendMany(transport, 50))).toEqual(Array(50).fill('answered'));
    expect(transport.pool.open).toBeLessThanOrEqual(few);
    expect(transport.pool.refusals).toBeGreaterThan(0);
  },
);

it('with no connection granted, one refusal is waited through, and a second one is reported', async () => {
  await using server = await openCrowdedSmtp(() => 0);
  await using transport = transportTo(server.port, { connections: 3 }, { reopenMs: 10, waitMs: nobody });
  const [told, ...others] = await sendMany(transport, 4);
  expect(told).toMatchObject({ kind: 'transport_fault', isCrowded: true, detail: expect.stringContaining(tooMany) });
  expect(others).toEqual(Array(3).fill({ ...told, isShared: true }));
  expect([server.connections, transport.pool.refusals]).toEqual([2, 2]);
});

it('mail that was refused a connection goes once one is granted', async () => {
  let asked = 0;
  await using server = await openCrowdedSmtp(() => Math.min(1, asked++));
  await using transport = transportTo(server.port, { connections: 3 }, { reopenMs: 10, waitMs: nobody });
  expect(kinds(await sendMany(transport, 4))).toEqual(Array(4).fill('answered'));
  expect(transport.pool.refusals).toBeGreaterThan(0);
});

it('a probe has the place of an idle connection, which is the only one the server grants', async () => {
  await using server = await openCrowdedSmtp(() => 1);
  await using transport = transportTo(server.port, { connections: 10 }, { idleCloseMs: nobody });
  expect(await send(transport)).toMatchObject({ kind: 'answered' });
  expect(await transport.probe()).toBeNull();
  expect([server.connections, transport.pool.open, transport.pool.refusals]).toEqual([3, 1, 1]);
});

it('a probe while the only connection is in use says that it was one too many', async () => {
  const gate = makeGate();
  await using server = await openCrowdedSmtp(
    () => 1,
    (stage) => (stage === 'body' ? gate.pass() : undefined),
  );
  await using transport = transportTo(server.port, { connections: 10 });
  const sending = send(transport);
  await until('it to be in hand', () => gate.held.length === 1);
  expect(await transport.probe()).toMatchObject({ isCrowded: true });
  gate.open();
  expect(await sending).toMatchObject({ kind: 'answered' });
});
