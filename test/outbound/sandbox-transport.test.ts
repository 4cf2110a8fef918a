/** The sandbox transport: each recipient answered by its row, as a server would, and the hand-over claimed before there is anything to hand over. */
import { expect, it } from 'vitest';
import { slowMs } from '../../src/domain/sandbox.ts';
import { openSandboxTransport } from '../../src/outbound/sandbox-transport.ts';
import type { Message } from '../../src/outbound/transport.ts';

const yes = async () => true;
const turn = { line: 'transactional', reserve: 0.25 } as const;

function message(to: readonly string[], attempts = 0): Message {
  const envelope = { from: 'a@x.co', to: to.map((name) => `${name}@sandbox.invalid`) };
  return { emailId: 'em_1', envelope, raw: Buffer.from('Subject: s\r\n\r\nt\r\n'), attempts };
}

function at(name: string, code: number, enhanced: string) {
  return { address: `${name}@sandbox.invalid`, smtp: { code, enhanced, reply: expect.stringContaining(`${code} `) } };
}

it('answers each recipient by its row, with what is heard of those it took', async () => {
  await using sandbox = openSandboxTransport({ now: Date.now });
  const names = ['delivered', 'bounced', 'deferred', 'Complained+17', 'nobody'];
  expect(await sandbox.send(message(names), yes, turn)).toEqual({
    kind: 'answered',
    transport: 'sandbox',
    replies: [
      at('delivered', 250, '2.0.0'),
      at('bounced', 550, '5.1.1'),
      at('deferred', 450, '4.2.0'),
      at('Complained+17', 250, '2.0.0'),
      at('nobody', 550, '5.1.1'),
    ],
    feedback: [
      { address: 'delivered@sandbox.invalid', kind: 'delivered' },
      { address: 'Complained+17@sandbox.invalid', kind: 'complained' },
    ],
  });
});

it('defers twice, and refuses for good however often', async () => {
  await using sandbox = openSandboxTransport({ now: Date.now });
  const codes: (number | undefined)[][] = [];
  for (const attempts of [0, 1, 2, 3]) {
    const outcome = await sandbox.send(message(['deferred', 'bounced'], attempts), yes, turn);
    codes.push(outcome.kind === 'answered' ? outcome.replies.map(({ smtp }) => smtp.code) : []);
  }
  expect(codes).toEqual([
    [450, 550],
    [450, 550],
    [250, 550],
    [250, 550],
  ]);
});

it('asks for the claim only when a recipient accepts the body, and hands over nothing without it', async () => {
  await using sandbox = openSandboxTransport({ now: Date.now });
  let claims = 0;
  const no = async () => {
    claims += 1;
    return false;
  };
  expect(await sandbox.send(message(['bounced', 'deferred']), no, turn)).toMatchObject({ kind: 'answered' });
  expect(claims).toBe(0);
  expect(await sandbox.send(message(['bounced', 'delivered']), no, turn)).toEqual({ kind: 'withheld' });
  expect(claims).toBe(1);
});

it('says when slow@ is answered, and does not wait for it', async () => {
  await using sandbox = openSandboxTransport({ now: () => 1_000 });
  expect(await sandbox.send(message(['slow', 'bounced']), yes, turn)).toEqual({
    kind: 'awaited',
    transport: 'sandbox',
    at: 1_000 + slowMs,
  });
});
