/** An email in two jobs, and a job of several emails: each is handed over by one, and only what hangs is in flight when a worker ends or freezes. */
import { expect, it } from 'vitest';
import { openDeliverQueues } from '../../src/queue/deliver-queue.ts';
import { openDue } from '../../src/store/due.ts';
import { keys, queuePrefix } from '../../src/store/keys.ts';
import { type Env, type Postrider, startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { openScriptedSmtp } from '../support/scripted-smtp.ts';
import { until } from '../support/until.ts';

/**
 * An API, a look at its queue, and a next hop that keeps silent about messages to `hang@` until it is told to answer.
 * @param lock long enough not to lapse by itself on a busy machine
 */
async function openLine(lock: string, places = '20') {
  await using opened = new AsyncDisposableStack();
  const server = opened.use(await openTestRedis());
  const answers = Promise.withResolvers<void>();
  const smtp = opened.use(
    await openScriptedSmtp(async (stage) => {
      if (stage === 'body' && smtp.bodies.at(-1)?.includes('To: hang@')) await answers.promise;
      return undefined;
    }),
  );
  const env: Env = {
    REDIS_URL: server.url,
    SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none`,
    SHUTDOWN_TIMEOUT: '500ms',
    WORKER_LOCK: lock,
    // A job takes a quarter of the places at most.
    WORKER_CONCURRENCY: places,
  };
  const api = opened.use(await startPostrider({ ...env, ROLES: 'api' }));
  const redis = server.connect({ maxRetriesPerRequest: null });
  const queue = opened.use(openDeliverQueues({ redis, prefix: queuePrefix })).transactional;
  const everything = opened.move();
  return {
    smtp,
    api,
    redis,
    queue,
    due: openDue(redis),
    startWorker: () => startPostrider({ ...env, ROLES: 'worker' }),
    letAnswer: answers.resolve,
    [Symbol.asyncDispose]: () => everything.disposeAsync(),
  };
}

const mail = (to: string) => ({ from: 'a@example.com', to, subject: 'Hi', text: 'Hello' });
const send = async (api: Postrider, to: string) => (await api.api('POST', '/v1/emails', mail(to))).body.id;
const statusOf = async (api: Postrider, id: string) => (await api.api('GET', `/v1/emails/${id}`)).body.status;

async function eventsOf(api: Postrider, id: string): Promise<string[]> {
  const { body } = await api.api('GET', `/v1/emails/${id}/events`);
  const entries = body.data as unknown as { events: { type: string }[] }[];
  return entries.flatMap(({ events }) => events.map(({ type }) => type));
}

const copies = (bodies: readonly string[], id: string) => bodies.filter((body) => body.includes(`<${id}@`)).length;

it('an email in two jobs at once goes out once, and is not taken for one whose worker died', async () => {
  await using line = await openLine('30s');
  await using _first = await line.startWorker();
  await using _second = await line.startWorker();
  const id = await send(line.api, 'hang@example.org');
  await until('the hand-over', () => line.smtp.bodies.length === 1);
  await line.queue.add(
    ['jb_a', 'jb_b'].map((job) => ({ id: job, emails: [id] })),
    Date.now(),
  );
  await until('the other jobs to leave it alone', async () => {
    const live = await Promise.all([line.queue.isLive('jb_a'), line.queue.isLive('jb_b')]);
    return !live.includes(true);
  });
  expect(await statusOf(line.api, id)).toBe('sending');
  // They left a mark, in case the one at it does not end well.
  const mark = async () => (await line.due.at('transactional', id)) ?? 0;
  const first = await mark();
  expect(first).toBeGreaterThan(Date.now());
  await until('it to be looked at again', async () => (await mark()) > first && Number.isInteger(await mark()));
  expect(await statusOf(line.api, id)).toBe('sending');
  line.letAnswer();
  await until('it to be sent', async () => (await statusOf(line.api, id)) === 'sent');
  const nothingLeads = async () =>
    (await line.due.at('transactional', id)) === null && (await line.queue.whereabouts(id)).job === 'absent';
  await until('nothing to lead to it', nothingLeads);
  expect(await eventsOf(line.api, id)).toEqual(['email.queued', 'email.sent']);
  expect(line.smtp.bodies).toHaveLength(1);
});

it('when the worker of one job dies, the next worker reports the outcome as unknown, once', async () => {
  await using line = await openLine('3s');
  const id = await send(line.api, 'hang@example.org');
  {
    await using dying = await line.startWorker();
    await until('the hand-over', () => line.smtp.bodies.length === 1);
    dying.kill('SIGKILL');
    await dying.ended;
  }
  line.letAnswer();
  await line.queue.add([{ id: 'jb_before', emails: [id] }], Date.now());
  await using _first = await line.startWorker();
  await using _second = await line.startWorker();
  // Jobs with the same email come all the while, so that some meet the one that is taken over.
  let n = 0;
  await until('it to be sent', async () => {
    if (await line.queue.isLive(`jb_${n}_b`)) return false;
    n += 1;
    const jobs = [
      { id: `jb_${n}_a`, emails: [id] },
      { id: `jb_${n}_b`, emails: [id, id] },
    ];
    await line.queue.add(jobs, Date.now());
    return (await statusOf(line.api, id)) === 'sent';
  });
  expect(await eventsOf(line.api, id)).toEqual(['email.queued', 'email.outcome_unknown', 'email.sent']);
  expect(copies(line.smtp.bodies, id)).toBe(2);
});

it.each(['SIGKILL', 'SIGTERM'] as const)(
  'if one email of a job hangs, the others are settled at once, and %s finds only that one in flight',
  async (signal) => {
    await using line = await openLine('3s');
    const to = ['a@example.org', 'b@example.org', 'hang@example.org', 'c@example.org', 'd@example.org'];
    const { body } = await line.api.api('POST', '/v1/emails/batch', to.map(mail));
    const ids = body.data.map(({ id }) => id);
    {
      await using worker = await line.startWorker();
      const look = () => Promise.all(ids.map((id) => statusOf(line.api, id)));
      const wanted = ['sent', 'sent', 'sending', 'sent', 'sent'];
      await until('all but one to be sent', async () => (await look()).join() === wanted.join(), look);
      const jobs = await line.redis.lrange(`${queuePrefix}:deliver:active`, 0, -1);
      const held = await Promise.all(jobs.map((job) => line.redis.hget(`${queuePrefix}:deliver:${job}`, 'data')));
      expect(held.map((data) => JSON.parse(data ?? '').emails.toSorted())).toEqual([ids.toSorted()]);
      const next = await send(line.api, 'next@example.org');
      await until('the next email to be sent', async () => (await statusOf(line.api, next)) === 'sent');
      worker.kill(signal);
      // A stop says by 1 that it had no time left to write down that nobody knows.
      expect(signal === 'SIGKILL' ? [signal] : [0, 1]).toContain(await worker.ended);
    }
    line.letAnswer();
    await using _worker = await line.startWorker();
    await until('all to be sent', async () => (await statusOf(line.api, ids[2] ?? '')) === 'sent');
    expect(ids.map((id) => copies(line.smtp.bodies, id))).toEqual([1, 1, 2, 1, 1]);
    const sent = ['email.queued', 'email.sent'];
    const repeated = ['email.queued', 'email.outcome_unknown', 'email.sent'];
    expect(await Promise.all(ids.map((id) => eventsOf(line.api, id)))).toEqual([sent, sent, repeated, sent, sent]);
  },
);

it.each([
  ['SIGKILL', 'wait for a place'],
  ['SIGKILL', 'found none and went to another worker'],
  ['SIGTERM', 'wait for a place'],
  ['SIGSTOP', 'wait for a place'],
] as const)(
  '%s, while emails of a job hang in all places and the rest of it %s: the rest goes out once, and only those that hang are in flight',
  async (signal, rest) => {
    await using line = await openLine('3s', '4');
    const to = ['hang', 'a', 'hang', 'hang', 'hang', 'b', 'c'];
    const ids: string[] = [];
    for (const name of to) ids.push(await send(line.api, `${name}@example.org`));
    const restIsSent = async () =>
      (await Promise.all(ids.slice(5).map((id) => statusOf(line.api, id)))).every((status) => status === 'sent');
    // As a feeder does that took them.
    expect(await line.redis.zrem(keys.due('transactional'), ...ids)).toBe(ids.length);
    await using worker = await line.startWorker();
    await line.queue.add([{ id: 'jb_first', emails: ids.slice(0, 1) }], Date.now());
    await until('one place to be taken', () => line.smtp.bodies.length === 1);
    await line.queue.add([{ id: 'jb_second', emails: ids.slice(1) }], Date.now());
    await until('the others to be taken as well', () => line.smtp.bodies.length === 5);
    expect(await restIsSent()).toBe(false);
    await using other = rest === 'wait for a place' ? null : await line.startWorker();
    if (other !== null) await until('the rest to be sent', restIsSent);
    worker.kill(signal);
    if (signal !== 'SIGSTOP') await worker.ended;
    line.letAnswer();
    await using _next = other ?? (await line.startWorker());
    const look = () => Promise.all(ids.map((id) => statusOf(line.api, id)));
    await until('all to be sent', async () => (await look()).every((status) => status === 'sent'), look);
    if (signal === 'SIGSTOP') {
      worker.kill('SIGCONT');
      worker.kill('SIGTERM');
      expect(await worker.ended, worker.output()).toBe(0);
    }
    const isHanging = to.map((name) => name === 'hang');
    expect(ids.map((id) => copies(line.smtp.bodies, id))).toEqual(isHanging.map((is) => (is ? 2 : 1)));
    const sent = ['email.queued', 'email.sent'];
    const repeated = ['email.queued', 'email.outcome_unknown', 'email.sent'];
    const events = await Promise.all(ids.map((id) => eventsOf(line.api, id)));
    expect(events).toEqual(isHanging.map((is) => (is ? repeated : sent)));
  },
);
