/** Servers that do not take an envelope behind a body, or say more than they should: nobody pays for it, and it is soon given up. */
import { describe, expect, it } from 'vitest';
import { classify } from '../../src/domain/classify.ts';
import { along, codes, flood, followed } from '../support/followers.ts';
import { type Act, openScriptedSmtp, type ScriptedSmtp, type Stage } from '../support/scripted-smtp.ts';
import { message, transportTo, turn } from '../support/smtp-transport.ts';
import { until } from '../support/until.ts';

const one = { connections: 1 };

/** A server that does something of its own at some stages when the envelope of the next message came with a body. */
async function openStrict(
  acts: Partial<Record<Stage, Act | Promise<Act>>>,
  isSo = () => true,
  extensions = ['PIPELINING'],
): Promise<ScriptedSmtp> {
  const server: ScriptedSmtp = await openScriptedSmtp(
    (stage) => (stage in acts && along.test(server.reads.at(-1) ?? '') && isSo() ? acts[stage] : undefined),
    { extensions },
  );
  return server;
}

const quick = { patience: { envelope: 100, body: 60_000, reset: 100 } };

describe.each<[Act]>([
  ['drop'],
  ['half-close'],
  ['stall'],
  ['503 5.5.1 Nested MAIL command'],
  ['550 5.7.1 Early talker'],
  ['451 4.7.0 Protocol violation'],
  ['554 5.5.0 SMTP synchronization error'],
  ['354 Go on'],
])('a server that has "%s" for an envelope behind a body', (what) => {
  it('has all messages sent, and no other follows', async () => {
    await using server = await openStrict({ MAIL: what });
    await using transport = transportTo(server.port, one, quick);
    const outcomes = await flood(transport, 6);
    expect(codes(outcomes)).toEqual(Array(6).fill(250));
    expect(followed(server)).toBe(1);
    expect(server.bodies).toHaveLength(6);
  });

  it('now and then has all messages sent as well', async () => {
    let times = 0;
    await using server = await openStrict({ MAIL: what }, () => ++times % 3 === 0);
    await using transport = transportTo(server.port, { connections: 2 }, quick);
    const outcomes = await flood(transport, 20);
    expect(codes(outcomes)).toEqual(Array(20).fill(250));
    expect(times).toBeGreaterThan(2);
    expect(server.bodies).toHaveLength(20);
  });
});

it('one message finds out that a server accepts no followers, on any number of connections', async () => {
  await using server = await openStrict({ MAIL: 'drop' });
  await using transport = transportTo(server.port, { connections: 4 });
  expect(codes(await flood(transport, 30))).toEqual(Array(30).fill(250));
  expect(followed(server)).toBe(1);
});

it('a follower whose envelope gets no answer is soon sent over another connection', async () => {
  let now = 0;
  await using server = await openStrict({ MAIL: new Promise<Act>(() => {}) });
  await using transport = transportTo(server.port, one, { now: () => now });
  const all = flood(transport, 3);
  await until('the third to follow', () => followed(server) === 1 && server.bodies.length === 2);
  await until('the second to be answered', () => transport.pool.busy === 1 && transport.pool.waiting === 0);
  now += 6_000;
  server.interrupt('250-Still at it');
  expect(codes(await all)).toEqual([250, 250, 250]);
  expect(server.connections).toBe(2);
});

it('a message that never reached the server says nothing about followers there', async () => {
  await using server = await openStrict({ MAIL: 'drop' }, undefined, ['PIPELINING', 'SIZE 100']);
  await using transport = transportTo(server.port, { connections: 2 });
  for (let round = 0; round < 2; round++) await flood(transport, 2);
  const large = { ...message('large@x.co'), raw: Buffer.alloc(200, 'a') };
  await Promise.all([flood(transport, 2), transport.send(large, async () => true, turn), flood(transport, 1)]);
  expect(codes(await flood(transport, 20))).toEqual(Array(20).fill(250));
  expect(followed(server)).toBe(1);
});

it('a 421 to one follower does not stop other messages from following', async () => {
  let times = 0;
  await using server = await openStrict({ MAIL: '421 4.7.0 Enough for one connection' }, () => ++times === 1);
  await using transport = transportTo(server.port, one);
  expect(codes(await flood(transport, 6))).toEqual(Array(6).fill(250));
  expect(followed(server)).toBeGreaterThan(1);
});

it('a refusal among replies out of step fails no follower', async () => {
  await using server = await openStrict({ RCPT: '550 5.1.1 Unknown\r\n250 2.0.0 surplus' });
  await using transport = transportTo(server.port, one);
  expect(codes(await flood(transport, 5))).toEqual(Array(5).fill(250));
});

it('a server that closes after RCPT of a follower has all messages sent, and no other follows', async () => {
  await using server = await openStrict({ RCPT: 'drop' });
  await using transport = transportTo(server.port, one);
  expect(codes(await flood(transport, 4))).toEqual(Array(4).fill(250));
  expect(followed(server)).toBe(1);
});

it('the refusal of a recipient of a follower counts although the connection ends after it', async () => {
  await using server = await openStrict({ RCPT: '550 5.1.1 Unknown', DATA: 'drop' });
  await using transport = transportTo(server.port, one);
  expect(codes(await flood(transport, 4))).toEqual([250, 250, 550, 250]);
});

it('a message whose body is refused because of a follower is deferred, and no other follows', async () => {
  await using server = await openStrict({ body: '554 SMTP synchronization error\r\n421 4.7.0 Bye' });
  await using transport = transportTo(server.port, one);
  const outcomes = await flood(transport, 5);
  expect(codes(outcomes)).toEqual([250, 554, 250, 250, 250]);
  const [, refused] = outcomes;
  const smtp = refused?.kind === 'answered' ? refused.replies[0]?.smtp : undefined;
  expect(smtp && classify(smtp).action).toBe('retry');
  expect(followed(server)).toBe(1);
});
