/** Cancel, reschedule and retry against workers that take the same emails at that moment: each email has exactly one winner. */
import { fileURLToPath } from 'node:url';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { keys } from '../../src/store/keys.ts';
import { type Answer, type Env, type Postrider, startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { openScriptedSmtp } from '../support/scripted-smtp.ts';
import { openSmtpServer, type TestSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
const stopHere = ['--import', fileURLToPath(new URL('../support/stop-here.ts', import.meta.url))];
const hour = 3_600_000;
const inMs = (ms: number) => new Date(Date.now() + ms).toISOString();
const base = { from: 'a@example.com', to: 'b@example.org', subject: 'Hi', text: 'Hello' };

let redis: Redis;
let smtp: TestSmtpServer;
/** What the server answers to a recipient; undefined accepts. */
let answer: string | undefined;
/** What its answer to a message waits for, once that many have come. */
let patience = { after: Infinity, until: Promise.resolve() };
let env: Env;
let apis: [Postrider, Postrider];
beforeAll(async () => {
  const server = opened.use(await openTestRedis());
  redis = server.connect();
  smtp = opened.use(
    await openSmtpServer({
      onRecipient: () => answer,
      async onMessage() {
        if (smtp.mails.length >= patience.after) await patience.until;
        return undefined;
      },
    }),
  );
  env = {
    REDIS_URL: server.url,
    SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none&connections=3`,
    WORKER_CONCURRENCY: '3',
    RETRY_MAX_AGE: '400ms',
    LOG_LEVEL: 'warn',
  };
  const start = async () => opened.use(await startPostrider({ ...env, ROLES: 'api' }));
  apis = [await start(), await start()];
});
afterAll(() => opened.disposeAsync());

const startWorker = () => startPostrider({ ...env, ROLES: 'worker' });

async function sendBatch(count: number, more: object = {}): Promise<string[]> {
  const { body } = await apis[0].api('POST', '/v1/emails/batch', {
    base: { ...base, ...more },
    messages: Array(count).fill({}),
  });
  return body.data.map(({ id }) => id);
}

const look = async (id: string) => (await apis[1].api('GET', `/v1/emails/${id}`)).body;
const statusOf = async (id: string) => (await look(id)).status;

function isStatus(id: string, status: string) {
  return until(
    `${id} to be ${status}`,
    async () => (await statusOf(id)) === status,
    () => look(id),
  );
}

/**
 * Asks for `change` of every email, newest first as workers begin with the oldest, over both processes in turn.
 * @param onAnswer is told of each answer
 */
async function askAll(
  ids: readonly string[],
  change: (api: Postrider, id: string) => Promise<Answer>,
  onAnswer: () => void,
) {
  const answers = new Map<string, Answer>();
  const left = [...ids];
  const asker = async (n: number) => {
    for (let id = left.pop(); id !== undefined; id = left.pop()) {
      answers.set(id, await change(apis[n % 2 ? 1 : 0], id));
      onAnswer();
    }
  };
  await Promise.all(Array.from({ length: 8 }, (_, n) => asker(n)));
  return answers;
}

/** Whatever was sent before an email that comes later has arrived once that one has. */
async function drain(): Promise<void> {
  for (const id of await sendBatch(8)) await isStatus(id, 'sent');
}

const copies = (id: string) => smtp.mails.filter(({ parsed }) => parsed.messageId === `<${id}@example.com>`).length;

it.each([
  {
    what: 'cancel',
    won: 'canceled',
    ask: (api: Postrider, id: string) => api.api('POST', `/v1/emails/${id}/cancel`),
  },
  {
    what: 'reschedule to later',
    won: 'scheduled',
    ask: (api: Postrider, id: string) => api.api('PATCH', `/v1/emails/${id}`, { scheduled_at: inMs(hour) }),
  },
])('when a $what and a worker race, one wins and the other notices', async ({ won, ask }) => {
  await using _one = await startWorker();
  await using _two = await startWorker();
  // However fast the workers are, some are left by the time they are asked for.
  const asked = Promise.withResolvers<void>();
  patience = { after: smtp.mails.length + 100, until: asked.promise };
  // All of them are accepted before that time.
  const ids = await sendBatch(400, { scheduled_at: inMs(2_000) });
  await until('the first of them to go out', () => ids.some((id) => copies(id) > 0));
  const answers = await askAll(ids, ask, asked.resolve);
  const lost: string[] = [];
  for (const [id, { status, body }] of answers) {
    if (status === 200) {
      expect(body.status).toBe(won);
      continue;
    }
    lost.push(id);
    const isWorkers = /"email_status":"sen[dt]/.test(JSON.stringify(body));
    const found = isWorkers ? '' : JSON.stringify(await look(id));
    expect([status, body.name, isWorkers], found).toEqual([409, 'conflict', true]);
  }
  expect(lost.length).toBeGreaterThan(0);
  expect(lost.length).toBeLessThan(ids.length);
  for (const id of lost) await isStatus(id, 'sent');
  await drain();
  for (const id of ids) {
    const isLost = lost.includes(id);
    expect([id, copies(id)]).toEqual([id, isLost ? 1 : 0]);
    if (!isLost) expect(await statusOf(id)).toBe(won);
  }
  // Those that were sent and those that were canceled are taken up no more; the others are, each once.
  const marks = [keys.due('transactional'), keys.again('transactional')].map((key) => redis.zrange(key, '0', '-1'));
  const kept = (await Promise.all(marks)).flat();
  expect(kept.toSorted()).toEqual(won === 'canceled' ? [] : ids.filter((id) => !lost.includes(id)).toSorted());
  if (won === 'canceled') return;
  const early = ids.filter((id) => !lost.includes(id)).slice(-5);
  for (const id of early) await apis[0].api('PATCH', `/v1/emails/${id}`, { scheduled_at: inMs(0) });
  for (const id of early) await isStatus(id, 'sent');
  expect(early.map(copies)).toEqual(early.map(() => 1));
});

it('a retry asked for twice at once is done once', async () => {
  await using _worker = await startWorker();
  answer = '451 4.3.0 Not now';
  const ids = await sendBatch(30);
  for (const id of ids) await isStatus(id, 'failed');
  answer = undefined;
  const retry = (api: Postrider, id: string) => api.api('POST', `/v1/emails/${id}/retry`);
  const answers = await Promise.all(ids.map((id) => Promise.all(apis.map((api) => retry(api, id)))));
  expect(answers.map((pair) => pair.map(({ status }) => status).toSorted())).toEqual(ids.map(() => [200, 409]));
  for (const id of ids) await isStatus(id, 'sent');
  await drain();
  expect(ids.map(copies)).toEqual(ids.map(() => 1));
});

it('an email moved to an earlier time leaves then, not at the time it had before', async () => {
  await using _worker = await startWorker();
  const [soon = '', now = ''] = await sendBatch(2, { scheduled_at: inMs(hour) });
  const to = inMs(2_000);
  expect(await apis[0].api('PATCH', `/v1/emails/${soon}`, { scheduled_at: to })).toMatchObject({
    body: { status: 'scheduled' },
  });
  expect(await apis[0].api('PATCH', `/v1/emails/${now}`, { scheduled_at: inMs(-hour) })).toMatchObject({
    body: { status: 'queued' },
  });
  await isStatus(now, 'sent');
  await isStatus(soon, 'sent');
  expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(to));
  expect([copies(soon), copies(now)]).toEqual([1, 1]);
});

it('killed between taken/queued, a worker leaves the email to the next: it leaves at its new time', async () => {
  const [id = ''] = await sendBatch(1, { scheduled_at: inMs(hour) });
  await using dying = await startPostrider({ ...env, ROLES: 'worker', STOP_HERE: 'taken/queued' }, stopHere);
  expect(await apis[0].api('PATCH', `/v1/emails/${id}`, { scheduled_at: inMs(0) })).toMatchObject({ status: 200 });
  await dying.printed(/stopped at taken\/queued/);
  dying.kill('SIGKILL');
  await dying.ended;
  expect(await statusOf(id)).toBe('queued');
  await using _worker = await startWorker();
  await isStatus(id, 'sent');
  expect(copies(id)).toBe(1);
});

it('an attempt that finds no server does not undo a reschedule that came meanwhile', async () => {
  await using own = await openTestRedis();
  const silent = await openScriptedSmtp(() => 'stall');
  const SMTP_URL = `smtp://127.0.0.1:${silent.port}?tls=none`;
  await using alone = await startPostrider({ ...env, REDIS_URL: own.url, SMTP_URL, WORKER_LOCK: '30s' });
  const { id } = (await alone.api('POST', '/v1/emails', { ...base, scheduled_at: inMs(1_500) })).body;
  await until('a worker to have it in hand', () => silent.connections > 0);
  const to = inMs(hour);
  expect(await alone.api('PATCH', `/v1/emails/${id}`, { scheduled_at: to })).toMatchObject({ status: 200 });
  await silent[Symbol.asyncDispose]();
  await until('the attempt to have ended', async () => {
    const { body } = await alone.api('GET', `/v1/emails/${id}/events`);
    return (body as unknown as { transport_faults: number }).transport_faults === 1;
  });
  expect((await alone.api('GET', `/v1/emails/${id}`)).body).toMatchObject({
    status: 'scheduled',
    scheduled_at: to,
    recipients: [{ status: 'scheduled', next_attempt_at: to }],
  });
});

it('while an email is being handed over, every change of it is refused, and says so', async () => {
  await using own = await openTestRedis();
  await using stuck = await openScriptedSmtp((stage) => (stage === 'body' ? 'stall' : undefined));
  const SMTP_URL = `smtp://127.0.0.1:${stuck.port}?tls=none`;
  await using alone = await startPostrider({ ...env, REDIS_URL: own.url, SMTP_URL, WORKER_LOCK: '30s' });
  const { id } = (await alone.api('POST', '/v1/emails', { ...base, scheduled_at: inMs(1_500) })).body;
  await until('the whole of it to be with the server', () => stuck.bodies.length > 0);
  const before = (await alone.api('GET', `/v1/emails/${id}`)).body;
  expect(before).toMatchObject({ status: 'sending', recipients: [{ status: 'sending' }] });
  for (const [method, rest, body, done] of [
    ['POST', '/cancel', undefined, 'canceled'],
    ['PATCH', '', { scheduled_at: inMs(hour) }, 'rescheduled'],
    ['POST', '/retry', undefined, 'retried'],
  ] as const)
    expect(await alone.api(method, `/v1/emails/${id}${rest}`, body)).toMatchObject({
      status: 409,
      body: {
        name: 'conflict',
        email_status: 'sending',
        detail: `Email ${id} cannot be ${done}: it is being handed over to the next hop at this moment. Its status is sending.`,
      },
    });
  expect((await alone.api('GET', `/v1/emails/${id}`)).body).toEqual(before);
  expect(stuck.bodies).toHaveLength(1);
});
