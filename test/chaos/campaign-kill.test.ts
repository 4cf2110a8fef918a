/** A worker that is killed anywhere in the middle of a slice: its recipients are taken over, and only what may have been handed over is repeated, and told of. */
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { placeId } from '../../src/domain/id.ts';
import { addCampaign, eventsIn, standingOf, tallyOf } from '../support/campaigns.ts';
import { startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { openSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const stopHere = ['--import', new URL('../support/stop-here.ts', import.meta.url).pathname];
const recipients = 60;

it.each([
  { gap: 'slice taken/begun', call: 1, inFlight: 0, repeated: 0 },
  { gap: 'place claimed/sent', call: 7, inFlight: 1, repeated: 0 },
  { gap: 'taken/sent', call: 7, inFlight: 0, repeated: 0 },
  { gap: 'place sent/settled', call: 7, inFlight: 1, repeated: 1 },
  { gap: 'place settled/released', call: 1, inFlight: 0, repeated: 0 },
  { gap: 'place deferred/left', call: 1, inFlight: 1, repeated: 0 },
  { gap: 'place left/released', call: 1, inFlight: 0, repeated: 0 },
])('a worker that is killed between $gap skips no recipient and repeats only what was in flight', async (given) => {
  const { gap, call, inFlight, repeated } = given;
  await using server = await openTestRedis();
  const redis = server.connect();
  let deferrals = 0;
  await using smtp = await openSmtpServer({
    onMessage: ({ to }) => (to[0] === 'r5@example.com' && deferrals++ === 0 ? '450 4.2.0 Later' : undefined),
  });
  const SMTP_URL = `smtp://127.0.0.1:${smtp.port}?tls=none&connections=1`;
  const env = { REDIS_URL: server.url, SMTP_URL, ROLES: 'worker', LOG_LEVEL: 'warn', WORKER_CONCURRENCY: '1' };
  const id = await addCampaign(redis, { recipients });
  {
    await using worker = await startPostrider({ ...env, STOP_HERE: gap, STOP_AT: String(call) }, stopHere);
    await worker.printed(new RegExp(`stopped at ${gap}`));
    await settledElsewhere(redis, id, inFlight);
    worker.kill('SIGKILL');
    await worker.ended;
  }
  const { counts, marks } = await standingOf(redis, id);
  expect(counts).toEqual(await tallyOf(redis, id));
  expect(marks.filter((mark) => mark === 'handing')).toHaveLength(inFlight);

  await using _worker = await startPostrider(env);
  const standing = () => standingOf(redis, id);
  await until('the campaign to be completed', async () => (await standing()).status === 'completed', standing);
  expect((await standing()).counts).toMatchObject({ recipients, pending: 0, sent: recipients });
  expect((await standing()).counts).toEqual(await tallyOf(redis, id));
  const copies = Array.from({ length: recipients }, (_, n) =>
    smtp.mails.filter(({ to }) => to[0] === `r${n}@example.com`),
  );
  expect(copies.filter((mails) => mails.length === 0)).toEqual([]);
  const twice = copies.flatMap((mails, n) => (mails.length > 1 ? [placeId(id, n)] : []));
  const unknown = await toldUnknown(redis);
  expect(twice).toHaveLength(repeated);
  expect(unknown).toEqual(expect.arrayContaining(twice));
  expect(unknown).toHaveLength(inFlight);
});

it('a worker that stops in good order finishes what is on its way and gives the rest back at once, and nothing is repeated', async () => {
  await using server = await openTestRedis();
  const redis = server.connect();
  await using smtp = await openSmtpServer();
  const SMTP_URL = `smtp://127.0.0.1:${smtp.port}?tls=none`;
  // A lease outlasts the test: what is not given back would be missed.
  const env = { REDIS_URL: server.url, SMTP_URL, ROLES: 'worker', LOG_LEVEL: 'warn', WORKER_LOCK: '10m' };
  const id = await addCampaign(redis, { recipients: 300 });
  const standing = () => standingOf(redis, id);
  {
    await using worker = await startPostrider(env);
    await until('some to be sent', async () => (await standing()).counts.sent > 20, standing);
    worker.kill('SIGTERM');
    expect(await worker.ended).toBe(0);
  }
  const { status, marks, counts } = await standing();
  expect([status, marks.includes('handing'), counts.sent < 300]).toEqual(['running', false, true]);
  await using _worker = await startPostrider(env);
  await until('the campaign to be completed', async () => (await standing()).status === 'completed', standing);
  expect((await standing()).counts).toMatchObject({ pending: 0, sent: 300 });
  expect(new Set(smtp.mails.map(({ to }) => to[0])).size).toBe(smtp.mails.length);
});

/** Looks in a row that find the same: one may come between two recipients. */
const sameLooks = 20;

/** What was under way beside the call that stopped has come to its end, so that only that is in flight. */
async function settledElsewhere(redis: Redis, id: string, inFlight: number): Promise<void> {
  let before = '';
  let looks = 0;
  await until('the others to be settled', async () => {
    const { marks } = await standingOf(redis, id);
    const now = marks.join();
    const isSame = now === before && marks.filter((mark) => mark === 'handing').length === inFlight;
    looks = isSame ? looks + 1 : 0;
    before = now;
    return looks >= sameLooks;
  });
}

async function toldUnknown(redis: Redis): Promise<string[]> {
  const events = await eventsIn(redis);
  return events.flatMap((event) =>
    'emailId' in event && event.type === 'email.outcome_unknown' ? [event.emailId] : [],
  );
}
