/** Stored emails: one claim at a time, one commit per version, and a command repeated after a lost answer does nothing twice. */
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { acceptEmail } from '../../src/domain/email.ts';
import type { EmailEvent } from '../../src/domain/event.ts';
import { openEmails } from '../../src/store/emails.ts';
import { keys } from '../../src/store/keys.ts';
import { emailRequest } from '../support/requests.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
let emails: ReturnType<typeof openEmails>;
useTestRedis((server) => {
  redis = server.connect();
  emails = openEmails(redis);
});

const request = emailRequest.parse({
  from: 'a@x.co',
  to: 'b@x.co',
  subject: 's',
  html: `<p>${'long '.repeat(1_000)}</p>`,
  headers: { 'X-A': 'ü' },
  attachments: [{ filename: 'ä.bin', content: Buffer.from([0, 1, 255]).toString('base64'), content_id: 'c' }],
});

function eventOf(id: string, sequence: number): EmailEvent {
  return {
    id: `ev_${id}_${sequence}`,
    type: 'email.queued',
    at: 1,
    emailId: id,
    sequence,
    to: ['b@x.co'],
    attempt: 0,
    transport: null,
    smtp: null,
    reason: null,
  };
}

async function create(id: string, given = request) {
  const email = acceptEmail(given, { id, keyId: 'k', now: Date.now() });
  await emails.create([{ email, claim: null }], { batchClaim: null, isStrict: true, now: Date.now() });
  return email;
}

async function loaded(id: string) {
  const email = await emails.load(id);
  if (email === null) throw new Error(`${id} is not there`);
  return email;
}

it('an email comes back as it was stored, its content compressed', async () => {
  const { facts, state, content } = await create('em_0000000000000000000000000a');
  expect(await loaded('em_0000000000000000000000000a')).toEqual({ facts, state, content, version: 1, handOver: null });
  expect(await redis.strlen(keys.content('em_0000000000000000000000000a'))).toBeLessThan(1_000);
  expect(await emails.load('em_none')).toBeNull();
  expect(await emails.facts(['em_none', facts.id])).toEqual(new Map([[facts.id, facts]]));
});

it('among many loaded together, a heavy email has its weight instead of its content, including files still to be fetched', async () => {
  const [light, heavy, withFile] = [
    'em_000000000000000000000000ha',
    'em_000000000000000000000000hb',
    'em_000000000000000000000000hc',
  ];
  const given = { from: 'a@x.co', to: 'b@x.co', subject: 's', text: 'long '.repeat(60_000) };
  const parsed = emailRequest.parse(given);
  const attachments = [
    { filename: 'a', path: 'https://x.co/a' },
    { filename: 'b', content: Buffer.alloc(7).toString('base64') },
  ];
  const carrying = emailRequest.parse({ ...given, text: 't', attachments });
  const contentOf = await create(light);
  const big = await create(heavy, parsed);
  const files = await create(withFile, carrying);
  const found = await emails.loadAll([light, heavy, withFile, 'em_none'], () => {});
  const weights = [contentOf.content, { weight: 300_000 }, { weight: 1 + 1024 * 1024 + 7 }, undefined];
  expect(found.map((email) => email?.content)).toEqual(weights);
  expect((await loaded(heavy)).content).toEqual(big.content);
  expect(await emails.content(withFile)).toEqual(files.content);
  expect(await emails.content('em_none')).toBeNull();
});

it('a hand-over is claimed by one attempt, which may repeat its own command', async () => {
  await create('em_0000000000000000000000000b');
  const email = await loaded('em_0000000000000000000000000b');
  const mine = { at: 1, transport: 't', attemptId: 'at_1', job: 'jb_1' };
  expect(await emails.claimHandOver(email, mine)).toBe(true);
  expect(await emails.claimHandOver(email, mine)).toBe(true);
  expect(await emails.claimHandOver(email, { ...mine, attemptId: 'at_2' })).toBe(false);
  expect((await loaded('em_0000000000000000000000000b')).handOver).toEqual(mine);
});

it('a commit writes state and events once, clears the claim, and is refused when the email moved on', async () => {
  await create('em_0000000000000000000000000c');
  const email = await loaded('em_0000000000000000000000000c');
  await emails.claimHandOver(email, { at: 1, transport: 't', attemptId: 'at_1', job: 'jb_1' });
  const before = await redis.xlen(keys.outbox);
  const state = { ...email.state, sequence: 3 };
  const events = [eventOf('em_0000000000000000000000000c', 2), eventOf('em_0000000000000000000000000c', 3)];
  expect(await emails.commit(email, { state, events, step: null }, 'at_1', 1)).toBe(true);
  expect(await emails.commit(email, { state, events, step: null }, 'at_1', 1)).toBe(true);
  expect(await redis.xlen(keys.outbox)).toBe(before + 2);
  expect(await loaded('em_0000000000000000000000000c')).toMatchObject({ version: 2, handOver: null, state });
  expect(await emails.commit(email, { state: { ...state, sequence: 4 }, events: [], step: null }, 'at_1', 1)).toBe(
    false,
  );
  expect(await emails.claimHandOver(email, { at: 1, transport: 't', attemptId: 'at_2', job: 'jb_1' })).toBe(false);
});

it('a create repeated under its own claim finds that claim', async () => {
  const email = acceptEmail(request, { id: 'em_0000000000000000000000000d', keyId: 'k', now: 1 });
  const claim = { scope: 's', bodyHash: 'h' };
  const options = { batchClaim: null, isStrict: true, now: 1 };
  expect(await emails.create([{ email, claim }], options)).toEqual({ kind: 'stored', met: [null] });
  const met = { bodyHash: 'h', ids: ['em_0000000000000000000000000d'] };
  expect(await emails.create([{ email, claim }], options)).toEqual({ kind: 'stored', met: [met] });
  expect(await redis.pttl(keys.idempotency('s'))).toBeGreaterThan(86_000_000);
});

it('where several are asked for, one that cannot be read is left out as one that is gone', async () => {
  const [bad, good] = ['em_0000000000000000000000damaged', 'em_0000000000000000000000whole00'];
  for (const id of [bad, good]) await create(id);
  await redis.hset(keys.email(bad), 'facts', '{"from":');
  const foreign = 'em_0000000000000000000000foreign';
  await redis.set(keys.email(foreign), 'no email');
  expect([...(await emails.facts([bad, foreign, good])).keys()]).toEqual([good]);
  await expect(emails.read(bad)).rejects.toThrow(SyntaxError);
});
