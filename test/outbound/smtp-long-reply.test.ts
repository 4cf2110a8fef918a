/** Replies that are longer than anybody reads: their last line says what became of the message. */
import { expect, it } from 'vitest';
import { openScriptedSmtp } from '../support/scripted-smtp.ts';
import { send, transportTo } from '../support/smtp-transport.ts';

const lines = (count: number) =>
  Array.from({ length: count }, (_, n) => `250-line ${n} ${'x'.repeat(80)}`).join('\r\n');

it.each([
  ['many lines', `${lines(2_000)}\r\n250 2.0.0 Ok: queued`, 250],
  ['many lines, of which the last refuses', `${lines(2_000)}\r\n451 4.3.0 Not now`, 451],
  ['a long line before the last', `250-${'x'.repeat(200_000)}\r\n250 2.0.0 Ok: queued`, 250],
  ['a single long line', `250 2.0.0 Ok ${'x'.repeat(200_000)}`, 250],
])('is settled by its code: %s', async (_, reply, code) => {
  let isLong = true;
  await using server = await openScriptedSmtp((stage) => (stage === 'body' && isLong ? reply : undefined));
  await using transport = transportTo(server.port, { connections: 1 });
  const outcome = await send(transport);
  expect(outcome).toMatchObject({ kind: 'answered', replies: [{ smtp: { code } }] });
  isLong = false;
  expect(await send(transport)).toMatchObject({ replies: [{ smtp: { reply: '250 2.0.0 Ok: queued' } }] });
  expect(server.connections).toBe(1);
});

it('a reply without end is given up, and leaves the outcome unknown', async () => {
  await using server = await openScriptedSmtp((stage) => (stage === 'body' ? lines(200_000) : undefined));
  await using transport = transportTo(server.port);
  expect(await send(transport)).toMatchObject({ kind: 'unknown', detail: expect.stringContaining('EPROTOCOL') });
});
