/** A server that refuses and hangs up: what it refused stays refused, and whoever had no answer comes again. */
import { describe, expect, it } from 'vitest';
import { type Act, openScriptedSmtp, type Stage } from '../support/scripted-smtp.ts';
import { message, send, transportTo, turn } from '../support/smtp-transport.ts';

const ours = async () => true;

/** What it does with each recipient, `a` before `b`, at the stages beside, and what is known of each then. */
type Refusal = {
  at?: Partial<Record<Stage, Act>>;
  a?: Act;
  b?: Act;
  known: Readonly<Record<string, string>> | 'fault';
};

const unknown = '550 5.1.1 Unknown';
const both = (reply: string) => ({ a: reply, b: reply });
const refusals: Refusal[] = [
  { at: { MAIL: '554 5.7.1 Not you', RSET: 'half-close' }, a: 'half-close', known: both('554 5.7.1 Not you') },
  { at: { MAIL: '521 5.3.2 No mail here' }, a: 'drop', known: both('521 5.3.2 No mail here') },
  { at: { DATA: 'half-close', RSET: 'half-close' }, a: unknown, b: unknown, known: both(unknown) },
  {
    at: { DATA: '554 5.5.1 No\r\n421 4.7.0 Errors', RSET: '421 4.7.0 Errors' },
    ...both(unknown),
    known: both(unknown),
  },
  { at: { RSET: '250 2.0.0 Ok\r\n421 4.7.0 Errors' }, ...both(unknown), known: both(unknown) },
  { at: { RSET: '554 Too many nonmail commands' }, ...both(unknown), known: both(unknown) },
  { a: unknown, b: 'half-close', known: { a: unknown } },
  { at: { DATA: 'half-close' }, b: unknown, known: { b: unknown } },
  { a: '521 5.1.1 Unknown, goodbye', b: 'stall', known: { a: '521 5.1.1 Unknown, goodbye' } },
  { b: '521 5.1.1 Unknown, goodbye', at: { DATA: 'drop' }, known: { b: '521 5.1.1 Unknown, goodbye' } },
  { b: 'half-close', known: 'fault' },
  { a: unknown, b: '354 What', known: 'fault' },
  { at: { DATA: 'half-close' }, known: 'fault' },
];

describe.each(['PIPELINING', 'SIZE 1000000'])('a server with %s', (extension) => {
  it.each(refusals)('that does $at, $a with one and $b with the other: $known', async ({ at = {}, a, b, known }) => {
    await using server = await openScriptedSmtp(
      (stage, line, connection) => {
        if (connection > 1) return undefined;
        return stage === 'RCPT' ? (line.includes('<a@') ? a : b) : at[stage];
      },
      { extensions: [extension] },
    );
    await using transport = transportTo(server.port);
    const outcome = await transport.send(message('a@x.co', 'b@x.co'), ours, turn);
    if (known === 'fault') {
      expect(outcome).toMatchObject({ kind: 'transport_fault', byMessage: true });
    } else {
      const replies = Object.entries(known).map(([name, reply]) => ({ address: `${name}@x.co`, smtp: { reply } }));
      expect(outcome).toMatchObject({ kind: 'answered', replies });
    }
    expect(await transport.send(message('c@x.co'), ours, turn)).toMatchObject({ kind: 'answered' });
    expect(server.bodies).toHaveLength(1);
  });
});

it('a goodbye between two commands ends the transaction, and those refused before have their own reply', async () => {
  const a = `${unknown}\r\n421 4.7.0 Too many errors`;
  await using server = await openScriptedSmtp((_, line) => (line.startsWith('RCPT TO:<a@') ? a : undefined), {
    extensions: ['SIZE'],
  });
  await using transport = transportTo(server.port);
  expect(await transport.send(message('a@x.co', 'b@x.co'), ours, turn)).toMatchObject({
    kind: 'answered',
    replies: [{ address: 'a@x.co', smtp: { reply: unknown } }],
  });
});

it('a goodbye to a recipient of a sender that was refused ends the connection, and the refusal of the sender holds', async () => {
  const sender = '550 5.7.1 Not you';
  await using server = await openScriptedSmtp((stage, _, connection) =>
    connection > 1 ? undefined : { MAIL: sender, RCPT: '421 4.7.0 Errors' }[stage as 'MAIL'],
  );
  await using transport = transportTo(server.port);
  expect(await transport.send(message('a@x.co'), ours, turn)).toMatchObject({
    kind: 'answered',
    replies: [{ smtp: { reply: sender } }],
  });
  expect(server.lines).not.toContain('RSET');
  expect(await transport.send(message('b@x.co'), ours, turn)).toMatchObject({ kind: 'answered' });
  expect(server.connections).toBe(2);
});

it.each(['PIPELINING', 'SIZE 1000000'])(
  'with %s the next message finds no transaction open of a body that was refused',
  async (extension) => {
    let isOpen = false;
    await using server = await openScriptedSmtp(
      (stage) => {
        if (stage === 'MAIL' && isOpen) return '503 5.5.1 Error: nested MAIL command';
        if (stage === 'RSET') isOpen = false;
        if (stage !== 'body' || server.bodies.length > 1) return undefined;
        isOpen = true;
        return '450 4.7.1 Try again later';
      },
      { extensions: [extension] },
    );
    await using transport = transportTo(server.port);
    expect(await send(transport)).toMatchObject({ kind: 'answered', replies: [{ smtp: { code: 450 } }] });
    expect(await send(transport)).toMatchObject({ kind: 'answered', replies: [{ smtp: { code: 250 } }] });
    expect(server.connections).toBe(1);
  },
);
