/** The SMTP transport against a server that misbehaves at every stage: each ending is the right Outcome, and the next message gets through. */
import { describe, expect, it } from 'vitest';
import type { Outcome } from '../../src/domain/outcome.ts';
import { type Act, openScriptedSmtp, type Stage } from '../support/scripted-smtp.ts';
import { message, transportTo, turn } from '../support/smtp-transport.ts';

const ours = async () => true;

function statusOf(outcome: Outcome): unknown {
  return outcome.kind === 'answered'
    ? Object.fromEntries(outcome.replies.map(({ address, smtp }) => [address, smtp.reply]))
    : outcome.kind;
}

/** What happens at one stage, once, and what the message with recipients a and b must come to. */
const endings: { at: Stage; act: Act; only?: string; outcome: unknown; claimed: boolean }[] = [
  { at: 'connect', act: 'drop', outcome: 'transport_fault', claimed: false },
  { at: 'connect', act: '554 No service', outcome: 'transport_fault', claimed: false },
  { at: 'connect', act: '421 Too busy', outcome: 'transport_fault', claimed: false },
  { at: 'connect', act: 'reset', outcome: 'transport_fault', claimed: false },
  { at: 'connect', act: 'half-close', outcome: 'transport_fault', claimed: false },
  { at: 'EHLO', act: 'drop', outcome: 'transport_fault', claimed: false },
  { at: 'EHLO', act: '421 4.3.2 Going down', outcome: 'transport_fault', claimed: false },
  { at: 'MAIL', act: 'drop', outcome: 'transport_fault', claimed: false },
  { at: 'MAIL', act: 'reset', outcome: 'transport_fault', claimed: false },
  { at: 'MAIL', act: 'half-close', outcome: 'transport_fault', claimed: false },
  { at: 'MAIL', act: '550 5.7.1 Not you', outcome: { a: '550 5.7.1 Not you', b: '550 5.7.1 Not you' }, claimed: false },
  { at: 'MAIL', act: '451 4.3.0 Later', outcome: { a: '451 4.3.0 Later', b: '451 4.3.0 Later' }, claimed: false },
  { at: 'RCPT', act: '550 5.1.1 Unknown', outcome: { a: '550 5.1.1 Unknown', b: '550 5.1.1 Unknown' }, claimed: false },
  {
    at: 'RCPT',
    only: 'a',
    act: '550 5.1.1 Unknown',
    outcome: { a: '550 5.1.1 Unknown', b: '250 2.0.0 Ok: queued' },
    claimed: true,
  },
  {
    at: 'RCPT',
    only: 'b',
    act: '450 4.2.0 Later',
    outcome: { a: '250 2.0.0 Ok: queued', b: '450 4.2.0 Later' },
    claimed: true,
  },
  { at: 'RCPT', act: '421 4.3.2 Later', outcome: { a: '421 4.3.2 Later', b: '421 4.3.2 Later' }, claimed: false },
  {
    at: 'RCPT',
    only: 'b',
    act: '421 4.7.0 Slow down',
    outcome: { a: '421 4.7.0 Slow down', b: '421 4.7.0 Slow down' },
    claimed: false,
  },
  { at: 'MAIL', act: '421 4.3.2 Later', outcome: { a: '421 4.3.2 Later', b: '421 4.3.2 Later' }, claimed: false },
  { at: 'RCPT', only: 'b', act: 'drop', outcome: 'transport_fault', claimed: false },
  { at: 'DATA', act: '554 5.5.1 No', outcome: { a: '554 5.5.1 No', b: '554 5.5.1 No' }, claimed: false },
  { at: 'DATA', act: 'drop', outcome: 'transport_fault', claimed: false },
  { at: 'DATA', act: 'half-close', outcome: 'transport_fault', claimed: false },
  { at: 'body begins', act: 'drop', outcome: 'unknown', claimed: true },
  { at: 'body begins', act: 'reset', outcome: 'unknown', claimed: true },
  { at: 'body', act: '250 Ok', outcome: { a: '250 Ok', b: '250 Ok' }, claimed: true },
  { at: 'body', act: '554 5.7.1 Spam', outcome: { a: '554 5.7.1 Spam', b: '554 5.7.1 Spam' }, claimed: true },
  { at: 'body', act: '452 4.3.1 Full', outcome: { a: '452 4.3.1 Full', b: '452 4.3.1 Full' }, claimed: true },
  { at: 'body', act: 'drop', outcome: 'unknown', claimed: true },
  { at: 'body', act: 'reset', outcome: 'unknown', claimed: true },
  { at: 'body', act: 'half-close', outcome: 'unknown', claimed: true },
  { at: 'body', act: '354 Go on', outcome: 'unknown', claimed: true },
  { at: 'body', act: '250-Ok\r\n554 5.7.1 No', outcome: { a: '554 5.7.1 No', b: '554 5.7.1 No' }, claimed: true },
  { at: 'body', act: '554-No\r\n250 2.0.0 Ok', outcome: { a: '250 2.0.0 Ok', b: '250 2.0.0 Ok' }, claimed: true },
  { at: 'body', act: '250-Ok\r\nand goodbye', outcome: 'unknown', claimed: true },
  { at: 'MAIL', act: '250-Ok\r\n550 Not you', outcome: { a: '550 Not you', b: '550 Not you' }, claimed: false },
  { at: 'RCPT', act: '250-Ok\r\n421 Later', outcome: { a: '421 Later', b: '421 Later' }, claimed: false },
  { at: 'DATA', act: '250-Go on\r\n451 No', outcome: { a: '451 No', b: '451 No' }, claimed: false },
  { at: 'body', act: 'Thank you', outcome: 'unknown', claimed: true },
];

describe.each(['PIPELINING', 'SIZE 1000000'])('an SMTP transport to a server with %s', (extension) => {
  it.each(endings)('answers $outcome when the server says $act at $at', async ({ at, act, only, outcome, claimed }) => {
    let isArmed = true;
    await using server = await openScriptedSmtp(
      (stage, line) => {
        if (!isArmed || stage !== at || (only !== undefined && !line.includes(`<${only}@`))) return undefined;
        return act;
      },
      { extensions: [extension] },
    );
    await using transport = transportTo(server.port);
    let isClaimed = false;
    const claim = async () => {
      isClaimed = true;
      return true;
    };
    const result = await transport.send(message('a@x.co', 'b@x.co'), claim, turn);
    const named = statusOf(result);
    const expected =
      typeof outcome === 'string'
        ? outcome
        : Object.fromEntries(Object.entries(outcome as object).map(([name, reply]) => [`${name}@x.co`, reply]));
    expect(named).toEqual(expected);
    expect(isClaimed).toBe(claimed);
    expect('transport' in result && result.transport).toBe('default');

    isArmed = false;
    expect(statusOf(await transport.send(message('c@x.co'), ours, turn))).toEqual({ 'c@x.co': '250 2.0.0 Ok: queued' });
    expect(server.bodies.at(-1)).toBe('Subject: s\r\n\r\n..dot\r\nlast line');
  });
});

describe('an SMTP transport', () => {
  it('keeps refused recipients apart from those whose outcome is unknown', async () => {
    await using server = await openScriptedSmtp((stage, line) => {
      if (stage === 'body') return 'drop';
      return stage === 'RCPT' && line.includes('<a@') ? '550 5.1.1 Unknown' : undefined;
    });
    await using transport = transportTo(server.port);
    expect(await transport.send(message('a@x.co', 'b@x.co'), ours, turn)).toMatchObject({
      kind: 'unknown',
      refused: [{ address: 'a@x.co', smtp: { code: 550 } }],
    });
  });

  it.each<[Stage, 'mail' | 'data' | undefined]>([
    ['MAIL', 'mail'],
    ['RCPT', undefined],
    ['DATA', 'data'],
    ['body', 'data'],
  ])('says of a refusal at %s that it answers %s', async (at, said) => {
    await using server = await openScriptedSmtp((stage) => (stage === at ? '550 5.1.1 Unknown' : undefined));
    await using transport = transportTo(server.port);
    const outcome = await transport.send(message('a@x.co', 'b@x.co'), ours, turn);
    expect(outcome.kind === 'answered' && outcome.replies.map(({ stage }) => stage)).toEqual([said, said]);
  });

  it('keeps the reply of a recipient that was refused before a server said goodbye', async () => {
    await using server = await openScriptedSmtp((stage, line) => {
      if (stage !== 'RCPT') return undefined;
      return line.includes('<a@') ? '550 5.1.1 Unknown' : '421 4.3.2 Later';
    });
    await using transport = transportTo(server.port);
    const outcome = await transport.send(message('a@x.co', 'b@x.co'), ours, turn);
    expect(statusOf(outcome)).toEqual({ 'a@x.co': '550 5.1.1 Unknown', 'b@x.co': '421 4.3.2 Later' });
  });

  it('sends a non-ASCII address with SMTPUTF8, and names the recipients it cannot send to if the server lacks it', async () => {
    let extension = 'SMTPUTF8';
    await using server = await openScriptedSmtp((stage) =>
      stage === 'EHLO' ? `250-scripted\r\n250-${extension}\r\n250 PIPELINING` : undefined,
    );
    await using transport = transportTo(server.port, { messagesPerConnection: 1 });
    expect(await transport.send(message('ö@x.co', '"a \\" b"@x.co'), ours, turn)).toMatchObject({ kind: 'answered' });
    expect(server.lines.filter((line) => /^(?:MAIL|RCPT)/.test(line))).toEqual([
      'MAIL FROM:<a@x.co> SMTPUTF8',
      'RCPT TO:<ö@x.co>',
      'RCPT TO:<"a \\" b"@x.co>',
    ]);
    extension = '8BITMIME';
    const obstacle = { kind: 'obstacle', detail: expect.stringContaining('SMTPUTF8') };
    const toSome = message('a@x.co', 'ö@x.co');
    expect(await transport.send(toSome, ours, turn)).toMatchObject({ ...obstacle, recipients: ['ö@x.co'] });
    const inHeader = { ...toSome, raw: Buffer.from('To: ö@x.co\r\n\r\nbody') };
    const fromBeyond = { ...toSome, envelope: { ...toSome.envelope, from: 'ä@x.co' } };
    for (const each of [inHeader, fromBeyond])
      expect(await transport.send(each, ours, turn)).toMatchObject({ ...obstacle, recipients: toSome.envelope.to });
    const inBody = { ...message('a@x.co'), raw: Buffer.from('To: a@x.co\r\n\r\nö') };
    expect(await transport.send(inBody, ours, turn)).toMatchObject({ kind: 'answered' });
    expect(server.bodies).toHaveLength(2);
  });

  it('sends not one byte of the body when the claim is refused or fails', async () => {
    await using server = await openScriptedSmtp(() => undefined);
    await using transport = transportTo(server.port);
    expect(await transport.send(message('a@x.co'), async () => false, turn)).toEqual({ kind: 'withheld' });
    await expect(
      transport.send(message('a@x.co'), () => Promise.reject(new Error('Redis is away')), turn),
    ).rejects.toThrow('Redis is away');
    expect(await transport.send(message('a@x.co'), ours, turn)).toMatchObject({ kind: 'answered' });
    expect(server.bodies).toHaveLength(1);
  });

  it('uses a connection again, up to its number of messages, and never more connections than allowed', async () => {
    await using server = await openScriptedSmtp(() => undefined);
    await using transport = transportTo(server.port, { connections: 2, messagesPerConnection: 5 });
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => transport.send(message('a@x.co'), ours, turn)));
    expect(outcomes.every(({ kind }) => kind === 'answered')).toBe(true);
    expect(server.connections).toBe(4);
    expect(server.bodies).toHaveLength(20);
  });

  it('has many waiting messages share few connections while some of those break', async () => {
    let broken = 0;
    await using server = await openScriptedSmtp((stage) =>
      stage === 'MAIL' && ++broken % 3 === 0 ? 'drop' : undefined,
    );
    await using transport = transportTo(server.port, { connections: 3 });
    const outcomes = await Promise.all(Array.from({ length: 60 }, () => transport.send(message('a@x.co'), ours, turn)));
    const count = (kind: string) => outcomes.filter((outcome) => outcome.kind === kind).length;
    expect(count('answered') + count('transport_fault')).toBe(60);
    expect(count('answered')).toBe(server.bodies.length);
    // Whoever followed another when it broke went over the next connection.
    expect(count('transport_fault')).toBeGreaterThan(0);
    expect(broken).toBe(60 + Math.floor(broken / 3) - count('transport_fault'));
  });

  it('with no server listening is at fault itself', async () => {
    const { port } = await openScriptedSmtp(() => undefined).then(async (server) => {
      await server[Symbol.asyncDispose]();
      return server;
    });
    await using transport = transportTo(port);
    expect(await transport.send(message('a@x.co'), ours, turn)).toMatchObject({
      kind: 'transport_fault',
      detail: expect.stringContaining('ECONNREFUSED'),
    });
  });

  it.each(['250-Still at it', ''])(
    'is not blocked for ever by a server that says %j now and then and never finishes',
    async (drop) => {
      let at = 0;
      const reached = Promise.withResolvers<void>();
      await using server = await openScriptedSmtp((stage) => {
        if (stage !== 'body') return undefined;
        reached.resolve();
        return drop;
      });
      await using transport = transportTo(server.port, {}, { now: () => at });
      const sending = transport.send(message('a@x.co'), ours, turn);
      await reached.promise;
      at = 600_001;
      server.interrupt(drop);
      expect(await sending).toMatchObject({ kind: 'unknown', detail: expect.stringContaining('within 600 s') });
    },
  );

  it.each([
    ['RCPT', { kind: 'withheld' }],
    ['body', { kind: 'unknown', detail: 'ECONNECTION: Postrider closed the connection before the server answered' }],
  ])('closed while it waits for the answer to %s, it says nothing false of the server', async (at, outcome) => {
    const reached = Promise.withResolvers<void>();
    await using server = await openScriptedSmtp((stage) => {
      if (stage !== at) return undefined;
      reached.resolve();
      return 'stall';
    });
    const transport = transportTo(server.port);
    const sending = transport.send(message('a@x.co'), ours, turn);
    await reached.promise;
    await transport.close(0);
    expect(await sending).toMatchObject(outcome);
  });
});
