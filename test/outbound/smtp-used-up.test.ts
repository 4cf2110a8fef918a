/** A server that takes so many messages over one connection: the next goes over another at once, and nobody is told of it. */
import { expect, it } from 'vitest';
import { openScriptedSmtp, type Stage } from '../support/scripted-smtp.ts';
import { message, send, transportTo, turn } from '../support/smtp-transport.ts';

const usedUp = '421 4.7.0 too many messages in this connection';
/** Of OpenSMTPD, which leaves the connection open. */
const usedUpForever = '452 4.5.3 Too many recipients: Too many messages sent';
const perConnection = 3;

/** Says so at a stage of each message past those it takes over a connection. */
async function openCounting(stage: Stage, takes: number, extensions: string[], reply = usedUp) {
  const taken = new Map<number, number>();
  return openScriptedSmtp(
    (reached, _, connection) => {
      const count = taken.get(connection) ?? 0;
      if (reached === 'body') taken.set(connection, count + 1);
      return reached === stage && count >= takes ? reply : undefined;
    },
    { extensions },
  );
}

it.each<[Stage, string, string?]>([
  ['MAIL', 'PIPELINING', usedUpForever],
  ['MAIL', 'SIZE 1000000', usedUpForever],
  ['MAIL', 'PIPELINING'],
  ['MAIL', 'SIZE 1000000'],
  ['RCPT', 'PIPELINING'],
  ['RCPT', 'SIZE 1000000'],
  ['DATA', 'PIPELINING'],
])('said at %s by a server with %s, it costs no message an attempt', async (stage, extension, reply) => {
  await using server = await openCounting(stage, perConnection, [extension], reply);
  await using transport = transportTo(server.port, { connections: 1 });
  const sending = Array.from({ length: 10 }, (_, n) => send(transport, `b${n}@x.co`));
  for (const outcome of await Promise.all(sending))
    expect(outcome).toMatchObject({ kind: 'answered', replies: [{ smtp: { code: 250 } }] });
  expect([server.connections, server.bodies.length]).toEqual([4, 10]);
});

it('said of the first message of a connection it is the answer to it', async () => {
  await using server = await openCounting('MAIL', 0, ['PIPELINING']);
  await using transport = transportTo(server.port, { connections: 1 });
  expect(await send(transport)).toMatchObject({ kind: 'answered', replies: [{ smtp: { reply: usedUp } }] });
  expect(server.connections).toBe(1);
});

it.each(['PIPELINING', 'SIZE 1000000'])(
  'a server with %s that has refused too much over one connection takes the rest of a message over another',
  async (extension) => {
    const refused = '550 5.1.1 Unknown';
    const errors = new Map<number, number>();
    await using server = await openScriptedSmtp(
      (stage, line, connection) => {
        const count = errors.get(connection) ?? 0;
        if (stage === 'DATA' && count >= 2) return '421 4.7.0 mx.example.org Error: too many errors';
        if (stage !== 'RCPT' || !line.includes('<bad')) return undefined;
        errors.set(connection, count + 1);
        return refused;
      },
      { extensions: [extension] },
    );
    await using transport = transportTo(server.port, { connections: 1 });
    for (let n = 0; n < 4; n += 1) {
      const outcome = await transport.send(message(`bad${n}@x.co`, `good${n}@x.co`), async () => true, turn);
      const replies = [
        { address: `bad${n}@x.co`, smtp: { reply: refused } },
        { address: `good${n}@x.co`, smtp: { code: 250 } },
      ];
      expect(outcome).toMatchObject({ kind: 'answered', replies });
    }
    expect([server.connections, server.bodies.length]).toEqual([4, 4]);
  },
);
