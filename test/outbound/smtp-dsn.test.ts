/** Delivery status notifications: the exact commands a server with DSN is sent, and that one without it is sent none of this. */
import { describe, expect, it } from 'vitest';
import { parseMailbox } from '../../src/domain/address.ts';
import type { Dsn } from '../../src/domain/dsn.ts';
import { parseSmtpUrl } from '../../src/domain/smtp-url.ts';
import type { Message, Turn } from '../../src/outbound/transport.ts';
import { openScriptedSmtp } from '../support/scripted-smtp.ts';
import { openTransport } from '../support/smtp-transport.ts';

const turn: Turn = { line: 'transactional', reserve: 0.25 };
const onTrouble: Dsn = { notify: ['failure', 'delay'], return: 'headers' };

/**
 * Logs in, sends messages one after the other over one connection and answers with their envelope commands.
 * @param greeting the lines of the server's answer to EHLO: its name and its extensions
 */
async function commandsFor(greeting: readonly string[], ...messages: Partial<Message & { to: string[] }>[]) {
  const reply = [...greeting.map((line) => `250-${line}`), '250 AUTH PLAIN'].join('\r\n');
  await using server = await openScriptedSmtp((stage) => (stage === 'EHLO' ? reply : undefined));
  const settings = parseSmtpUrl(`smtp://user:pass@127.0.0.1:${server.port}?tls=none`);
  if ('faults' in settings) throw new Error(settings.faults.join());
  await using transport = openTransport(settings);
  for (const { to = ['b@y.co'], ...message } of messages) {
    const envelope = { from: 'a@x.co', to };
    const raw = Buffer.from('Subject: s\r\n\r\n');
    const outcome = await transport.send({ emailId: 'em_1', envelope, raw, ...message }, async () => true, turn);
    expect(outcome).toMatchObject({ kind: 'answered' });
  }
  expect(server.connections).toBe(1);
  return server.lines.filter((line) => /^(?:MAIL|RCPT)/.test(line));
}

describe.each([[['PIPELINING', 'DSN']], [['DSN']], [['dsn ', 'SIZE 1000']]])('a server with %j', (extensions) => {
  const size = extensions.includes('SIZE 1000') ? ' SIZE=14' : '';

  it('is asked to notify of each recipient under its own address', async () => {
    const to = ['b@y.co', 'c+tag@y.co', 'd@z.co'];
    expect(await commandsFor(['scripted', ...extensions], { to, dsn: onTrouble })).toEqual([
      `MAIL FROM:<a@x.co>${size} RET=HDRS ENVID=em_1`,
      'RCPT TO:<b@y.co> NOTIFY=FAILURE,DELAY ORCPT=rfc822;b@y.co',
      'RCPT TO:<c+tag@y.co> NOTIFY=FAILURE,DELAY ORCPT=rfc822;c+2Btag@y.co',
      'RCPT TO:<d@z.co> NOTIFY=FAILURE,DELAY ORCPT=rfc822;d@z.co',
    ]);
  });

  it('is asked by each message for what that message wants', async () => {
    const messages: Partial<Message>[] = [
      { dsn: { notify: 'never', return: 'full' } },
      {},
      { dsn: null },
      { dsn: { notify: ['success', 'failure', 'delay'], return: 'full' }, emailId: 'em_2' },
    ];
    expect(await commandsFor(['scripted', ...extensions], ...messages)).toEqual([
      `MAIL FROM:<a@x.co>${size} RET=FULL ENVID=em_1`,
      'RCPT TO:<b@y.co> NOTIFY=NEVER ORCPT=rfc822;b@y.co',
      `MAIL FROM:<a@x.co>${size}`,
      'RCPT TO:<b@y.co>',
      `MAIL FROM:<a@x.co>${size}`,
      'RCPT TO:<b@y.co>',
      `MAIL FROM:<a@x.co>${size} RET=FULL ENVID=em_2`,
      'RCPT TO:<b@y.co> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;b@y.co',
    ]);
  });
});

describe('a server without DSN', () => {
  it.each([[['PIPELINING']], [[]], [['SIZE 1000', 'X-DSN-LIKE']], [['HELP mail -DSN']]])(
    'with %j is not asked',
    async (extensions) => {
      const commands = await commandsFor(['scripted', ...extensions], { dsn: onTrouble });
      expect(commands.join()).not.toMatch(/RET|ENVID|NOTIFY|ORCPT/);
    },
  );

  it.each(['DSN', 'mx-dsn.example.com', 'mx says DSN'])('is not asked for having the name %s', async (name) => {
    const commands = await commandsFor([name, 'PIPELINING'], { dsn: onTrouble });
    expect(commands).toEqual(['MAIL FROM:<a@x.co>', 'RCPT TO:<b@y.co>']);
  });
});

describe('a recipient with odd characters', () => {
  it.each([
    ['"a NOTIFY=NEVER"@y.co', 'rfc822;"a+20NOTIFY+3DNEVER"@y.co'],
    ['a=b+c@y.co', 'rfc822;a+3Db+2Bc@y.co'],
    ['"a \\"b;c"@y.co', 'rfc822;"a+20\\"b;c"@y.co'],
    ['üser+x@y.co', 'utf-8;\\x{FC}ser\\x{2B}x@y.co'],
    ['日本😀=@y.co', 'utf-8;\\x{65E5}\\x{672C}\\x{1F600}\\x{3D}@y.co'],
  ])('%s stays one value', async (address, original) => {
    expect(parseMailbox(address)).toEqual({ address });
    const [, command] = await commandsFor(['scripted', 'DSN', 'SMTPUTF8'], { to: [address], dsn: onTrouble });
    expect(command).toBe(`RCPT TO:<${address}> NOTIFY=FAILURE,DELAY ORCPT=${original}`);
    expect(original).toMatch(/^(?:[!-*,-<>-~]|\+[0-9A-F]{2})+$/);
  });

  it('too long to be encoded goes without', async () => {
    const address = `ü${'+'.repeat(62)}@${'x'.repeat(60)}.${'y'.repeat(60)}.${'z'.repeat(60)}.co`;
    expect(parseMailbox(address)).toEqual({ address });
    const [, command] = await commandsFor(['scripted', 'DSN', 'SMTPUTF8'], { to: [address], dsn: onTrouble });
    expect(command).toBe(`RCPT TO:<${address}> NOTIFY=FAILURE,DELAY`);
  });
});
