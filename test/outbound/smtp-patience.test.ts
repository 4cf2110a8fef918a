/** How long a server may take for each of its replies: a command is soon given up, a body that may have been taken is not. */
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { usualPatience } from '../../src/outbound/smtp-session.ts';
import { openScriptedSmtp, type Stage } from '../support/scripted-smtp.ts';
import { message, send, transportTo, turn } from '../support/smtp-transport.ts';

const noPatience = 20;
const commands = ['MAIL', 'RCPT', 'DATA'] as const;

/** A server that begins to answer at one stage and comes to no end, and when it got there. */
async function openEndless(at: Stage) {
  const reached = Promise.withResolvers<void>();
  // With pipelining what it says next would go on with that reply.
  const extensions = ['SIZE'];
  const act = (stage: Stage) => {
    if (stage !== at) return undefined;
    reached.resolve();
    return '250-Still at it';
  };
  const server = await openScriptedSmtp(act, { extensions });
  return { server, reached: reached.promise };
}

describe.each(['PIPELINING', 'SIZE'])('a server with %s', (extension) => {
  it.each(commands)('that goes silent at %s is at fault, and another server may take the message', async (at) => {
    await using server = await openScriptedSmtp((stage) => (stage === at ? 'stall' : undefined), {
      extensions: [extension],
    });
    await using transport = transportTo(server.port, {}, { patience: { ...usualPatience, envelope: noPatience } });
    expect(await send(transport)).toMatchObject({
      kind: 'transport_fault',
      detail: expect.stringContaining('ETIMEDOUT'),
    });
  });

  it('that goes silent after the body may have taken it', async () => {
    await using server = await openScriptedSmtp((stage) => (stage === 'body' ? 'stall' : undefined), {
      extensions: [extension],
    });
    await using transport = transportTo(server.port, {}, { patience: { ...usualPatience, body: noPatience } });
    expect(await send(transport)).toMatchObject({ kind: 'unknown', detail: expect.stringContaining('ETIMEDOUT') });
  });

  it('that goes silent at RSET has its answer kept, and another connection has the next message', async () => {
    await using server = await openScriptedSmtp(
      (stage, line) => (stage === 'RSET' ? 'stall' : line.startsWith('RCPT TO:<no') ? '550 5.1.1 No' : undefined),
      { extensions: [extension] },
    );
    await using transport = transportTo(server.port, {}, { patience: { ...usualPatience, reset: noPatience } });
    expect(await send(transport, 'no@x.co')).toMatchObject({ replies: [{ smtp: { reply: '550 5.1.1 No' } }] });
    expect(await send(transport)).toMatchObject({ kind: 'answered' });
    expect(server.connections).toBe(2);
  });
});

it.each(commands)('a reply to %s has a minute, however much of it comes', async (at) => {
  let now = 0;
  const { server, reached } = await openEndless(at);
  await using _ = server;
  await using transport = transportTo(server.port, {}, { now: () => now });
  const sending = transport.send(message('a@x.co'), async () => true, turn);
  await reached;
  now = 60_001;
  server.interrupt('250-Still at it');
  expect(await sending).toMatchObject({ kind: 'transport_fault', detail: expect.stringContaining('within 60 s') });
});

it('an opening has a minute up to the end of the login, however much of it comes', async () => {
  const { server, reached } = await openEndless('EHLO');
  await using _ = server;
  await using transport = transportTo(server.port);
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const opening = transport.probe();
  await reached;
  vi.advanceTimersByTime(60_000);
  server.interrupt('drop');
  expect(await opening).toMatchObject({ kind: 'transport_fault', detail: expect.stringContaining('within 60 s') });
  vi.useRealTimers();
});

it('the reply to a body has ten minutes', async () => {
  let now = 0;
  const { server, reached } = await openEndless('body');
  await using _ = server;
  await using transport = transportTo(server.port, {}, { now: () => now });
  const sending = transport.send(message('a@x.co'), async () => true, turn);
  await reached;
  now = 600_000;
  server.interrupt('250-Still at it\r\n250 2.0.0 Ok: queued');
  expect(await sending).toMatchObject({ kind: 'answered' });
});
