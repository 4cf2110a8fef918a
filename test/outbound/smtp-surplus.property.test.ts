/** A server that says more than it was asked: nothing of it is ever taken for the answer to another command, least of all to the body. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Outcome } from '../../src/domain/outcome.ts';
import { openScriptedSmtp, type ScriptedSmtp, type Stage } from '../support/scripted-smtp.ts';
import { message, transportTo, turn } from '../support/smtp-transport.ts';

const ours = async () => true;
const stages = ['connect', 'EHLO', 'MAIL', 'RCPT', 'DATA', 'body', 'RSET'] as const;
/** How it answers each message by itself: nothing but these may be what a recipient was answered. */
const answers = { a: '250 2.1.5 a is known', b: '550 5.1.1 b is not', body: '554 5.6.0 Not this body' } as const;

type Surplus = { at: (typeof stages)[number]; says: readonly string[]; isLate: boolean };

const surplus: fc.Arbitrary<Surplus> = fc.oneof(
  fc.record({
    at: fc.constantFrom(...stages),
    says: fc.array(fc.constantFrom('250 2.0.0 surplus', '354 surplus', '550 5.1.1 surplus'), {
      minLength: 1,
      maxLength: 3,
    }),
    isLate: fc.constant(false),
  }),
  // A refusal that comes late cannot be told from the answer to what was asked meanwhile, nor can anything after 354.
  fc.record({
    at: fc.constantFrom('MAIL' as const, 'RCPT' as const),
    says: fc.array(fc.constantFrom('250 2.0.0 surplus', '354 surplus'), { minLength: 1, maxLength: 3 }),
    isLate: fc.constant(true),
  }),
);

const usual: Partial<Record<Stage, string>> = {
  ...{ connect: '220 scripted', MAIL: '250 2.1.0 Ok', body: answers.body, RSET: '250 2.0.0 Ok' },
};

/** @param nth the time from which on it says more, 1 for the first */
async function openTalkative({ at, says, isLate }: Surplus, extension: string, nth = 1): Promise<ScriptedSmtp> {
  let hasRecipient = false;
  let times = 0;
  function own(stage: Stage, line: string): string | undefined {
    if (stage === 'MAIL') hasRecipient = false;
    if (stage === 'RCPT' && line.includes('<a@')) hasRecipient = true;
    if (stage === 'RCPT') return line.includes('<a@') ? answers.a : answers.b;
    if (stage === 'DATA') return hasRecipient ? '354 Go on' : '554 5.5.1 No valid recipients';
    return stage === 'EHLO' ? `250-scripted\r\n250 ${extension}` : usual[stage];
  }
  const server: ScriptedSmtp = await openScriptedSmtp((stage, line) => {
    if (stage !== at || ++times < nth) return own(stage, line);
    if (!isLate) return [own(stage, line), ...says].join('\r\n');
    for (const each of says) setImmediate(() => server.interrupt(each));
    return own(stage, line);
  });
  return server;
}

/** For each recipient what it was told; nothing where nobody knows. */
function toldOf(outcome: Outcome): [string, string][] {
  const replies = outcome.kind === 'answered' ? outcome.replies : outcome.kind === 'unknown' ? outcome.refused : [];
  return replies.map(({ address, smtp }) => [address, smtp.reply]);
}

describe.each(['PIPELINING', '8BITMIME'])('a server with %s', (extension) => {
  it.each<[string[], Record<string, readonly string[]>]>([
    [['a@x.co'], { 'a@x.co': [answers.body] }],
    [['b@x.co'], { 'b@x.co': [answers.b] }],
    [['a@x.co', 'b@x.co'], { 'a@x.co': [answers.body], 'b@x.co': [answers.b] }],
    [['b@x.co', 'a@x.co'], { 'a@x.co': [answers.body], 'b@x.co': [answers.b] }],
  ])('that says more than it was asked: %j', async (to, own) => {
    await fc.assert(
      fc.asyncProperty(surplus, async (more) => {
        await using server = await openTalkative(more, extension);
        await using transport = transportTo(server.port, { connections: 1 });
        for (let n = 0; n < 3; n++) {
          const outcome = await transport.send(message(...to), ours, turn);
          for (const [address, reply] of toldOf(outcome)) expect(own[address]).toContain(reply);
        }
      }),
      { numRuns: 40 },
    );
  });
});

it('no surplus reply is taken for the answer to a message that follows another', async () => {
  const own: Record<string, readonly string[]> = { 'a@x.co': [answers.body], 'b@x.co': [answers.b] };
  const recipients = fc.constantFrom(['a@x.co'], ['b@x.co'], ['a@x.co', 'b@x.co'], ['b@x.co', 'a@x.co']);
  let followed = 0;
  await fc.assert(
    fc.asyncProperty(
      surplus,
      fc.integer({ min: 1, max: 6 }),
      fc.array(recipients, { minLength: 4, maxLength: 8 }),
      async (more, nth, all) => {
        await using server = await openTalkative(more, 'PIPELINING', nth);
        await using transport = transportTo(server.port, { connections: 1 });
        const outcomes = await Promise.all(all.map((to) => transport.send(message(...to), ours, turn)));
        for (const [address, reply] of outcomes.flatMap(toldOf)) expect(own[address]).toContain(reply);
        followed += server.reads.filter((read) => /\r\n\.\r\nMAIL FROM/.test(read)).length;
      },
    ),
    { numRuns: 60 },
  );
  expect(followed).toBeGreaterThan(50);
});

it('a server that answers each command twice is at fault, and no message is handed over', async () => {
  await using server = await openScriptedSmtp((stage) => {
    const once = { MAIL: '250 2.1.0 Ok', RCPT: '250 2.1.5 Ok', DATA: '354 Go on', RSET: '250 Ok' }[stage as 'MAIL'];
    return once && `${once}\r\n${once}`;
  });
  await using transport = transportTo(server.port);
  let isClaimed = false;
  const claim = async () => {
    isClaimed = true;
    return true;
  };
  expect(await transport.send(message('a@x.co'), claim, turn)).toMatchObject({
    kind: 'transport_fault',
    cause: 'protocol',
    detail: expect.stringContaining('Unexpected reply: 250 2.1.5 Ok'),
  });
  expect([isClaimed, server.bodies]).toEqual([false, []]);
});

it('a server that answers DATA with 250 has taken nothing', async () => {
  await using server = await openScriptedSmtp((stage) => (stage === 'DATA' ? '250 2.0.0 Ok' : undefined));
  await using transport = transportTo(server.port);
  expect(await transport.send(message('a@x.co'), ours, turn)).toMatchObject({ kind: 'transport_fault' });
});
