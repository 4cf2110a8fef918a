/** kill -9 between each pair of steps of the line: nothing is lost, and only what was in flight is repeated. */
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { type Env, type Postrider, startPostrider } from '../support/postrider.ts';
import { openReceiver, type Receiver } from '../support/receiver.ts';
import { openTestRedis } from '../support/redis.ts';
import { openSmtpServer, type TestSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const stopHere = ['--import', fileURLToPath(new URL('../support/stop-here.ts', import.meta.url))];

/** Opens what the line leads to, and an API that outlives the worker. */
async function openLine() {
  await using opened = new AsyncDisposableStack();
  const redis = opened.use(await openTestRedis());
  const smtp = opened.use(await openSmtpServer());
  const receiver = opened.use(await openReceiver());
  const env: Env = {
    REDIS_URL: redis.url,
    SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none`,
    WEBHOOK_ALLOW_PRIVATE_NETWORKS: 'true',
    WORKER_CONCURRENCY: '1',
    WEBHOOK_TIMEOUT: '1s',
  };
  const api = opened.use(await startPostrider({ ...env, ROLES: 'api' }));
  const webhook = await api.api('POST', '/v1/webhooks', {
    endpoint: receiver.url,
    events: ['email.sent', 'email.outcome_unknown', 'email.bounced', 'email.failed'],
  });
  const everything = opened.move();
  return {
    env,
    redis,
    smtp,
    receiver,
    api,
    secret: webhook.body.signing_secret,
    [Symbol.asyncDispose]: () => everything.disposeAsync(),
  };
}

async function send(api: Postrider, subject: string): Promise<string> {
  const { status, body } = await api.api('POST', '/v1/emails', {
    from: 'a@example.com',
    to: 'b@example.org',
    subject,
    text: 'Hello',
  });
  expect(status).toBe(202);
  return body.id;
}

/** Runs a worker that stops in the gap and is killed there, once `isDue`. */
async function killWorkerAt(gap: string, call: number, env: Env, isDue: () => Promise<void>): Promise<void> {
  await using worker = await startPostrider(
    { ...env, ROLES: 'worker', STOP_HERE: gap, STOP_AT: String(call) },
    stopHere,
  );
  await worker.printed(new RegExp(`stopped at ${gap}`));
  await isDue();
  worker.kill('SIGKILL');
  expect(await worker.ended).toBe('SIGKILL');
}

function copies(smtp: TestSmtpServer, id: string): number {
  return smtp.mails.filter(({ parsed }) => parsed.messageId === `<${id}@example.com>`).length;
}

/** The types of the events that came for an email, once each, however often each was posted. */
function told(receiver: Receiver, id: string, secret: string): string[] {
  return [...new Map(receiver.eventsOf(id, secret).map((event) => [event.data.sequence, event.type])).values()];
}

/** How often each webhook-id came. */
function timesPosted(receiver: Receiver): number[] {
  const ids = receiver.hooks.map(({ headers }) => headers['webhook-id']);
  return [...new Set(ids)].map((id) => ids.filter((other) => other === id).length);
}

async function statesAre(api: Postrider, ids: readonly string[], wanted: string): Promise<void> {
  const look = () => Promise.all(ids.map(async (id) => (await api.api('GET', `/v1/emails/${id}`)).body));
  await until(`every email to be ${wanted}`, async () => (await look()).every(({ status }) => status === wanted), look);
}

async function allSent(
  line: { api: Postrider; receiver: Receiver; secret: string },
  ids: readonly string[],
): Promise<void> {
  await statesAre(line.api, ids, 'sent');
  await until('every email.sent to be told', () =>
    ids.every((id) => told(line.receiver, id, line.secret).includes('email.sent')),
  );
}

it.each([
  { gap: 'stored/taken', call: 1, repeated: 0, events: ['email.sent'] },
  { gap: 'taken/queued', call: 1, repeated: 0, events: ['email.sent'] },
  { gap: 'queued/done', call: 1, repeated: 0, events: ['email.sent'] },
  { gap: 'taken/sent', call: 2, repeated: 0, events: ['email.sent'] },
  { gap: 'sent/settled', call: 2, repeated: 1, events: ['email.outcome_unknown', 'email.sent'] },
  { gap: 'settled/finished', call: 2, repeated: 0, events: ['email.sent'] },
  { gap: 'settled/notified', call: 1, repeated: 0, events: ['email.sent'] },
  { gap: 'noticed/notified', call: 1, repeated: 0, events: ['email.sent'] },
  { gap: 'notified/taken', call: 2, repeated: 0, events: ['email.sent'] },
  { gap: 'notified/posted', call: 2, repeated: 0, events: ['email.sent'] },
  { gap: 'posted/recorded', call: 2, repeated: 0, events: ['email.sent'] },
])(
  'a worker that is killed between $gap loses nothing and repeats only what was in flight',
  async ({ gap, call, repeated, events }) => {
    await using line = await openLine();
    const ids = [await send(line.api, 'one'), await send(line.api, 'two'), await send(line.api, 'three')];
    // Beyond settle, delivering goes on while the worker stands in the gap: killed once that is over, only webhooks are in flight.
    const isDue = async () =>
      gap === 'stored/taken' ||
      gap === 'taken/queued' ||
      gap.includes('sent/') ||
      gap.includes('/sent') ||
      gap === 'settled/finished'
        ? undefined
        : statesAre(line.api, ids, 'sent');
    await killWorkerAt(gap, call, line.env, isDue);

    await using _worker = await startPostrider({ ...line.env, ROLES: 'worker' });
    await allSent(line, ids);

    expect(ids.map((id) => copies(line.smtp, id))).toEqual([1, 1 + repeated, 1]);
    expect(ids.map((id) => told(line.receiver, id, line.secret))).toEqual([['email.sent'], events, ['email.sent']]);
    const repeatedPosts = () => timesPosted(line.receiver).filter((times) => times > 1);
    if (gap === 'posted/recorded')
      await until('the unrecorded webhook to come again', () => repeatedPosts().length > 0);
    // One post was in flight at most, and may have been under way in any gap; it comes again under its own id, once.
    expect([[], [2]]).toContainEqual(repeatedPosts());
  },
);

it('an API that is killed with its answer given has lost nothing, and another one knows the key', async () => {
  await using line = await openLine();
  await using dying = await startPostrider({ ...line.env, ROLES: 'api' });
  const body = { from: 'a@example.com', to: 'b@example.org', subject: 'two', text: 'Hello' };
  const key = { 'idempotency-key': 'order-2' };
  const first = await dying.api('POST', '/v1/emails', body, key);
  dying.kill('SIGKILL');

  const again = await line.api.api('POST', '/v1/emails', body, key);
  expect(again).toMatchObject({ status: 202, body: first.body, headers: { 'idempotent-replayed': 'true' } });
  await using _worker = await startPostrider({ ...line.env, ROLES: 'worker' });
  await allSent(line, [first.body.id]);
  expect(copies(line.smtp, first.body.id)).toBe(1);
  expect(line.smtp.mails).toHaveLength(1);
});

it('killed while the server has the message and has not answered, the attempt is unknown and the mail is sent again', async () => {
  await using line = await openLine();
  const holding = Promise.withResolvers<void>();
  await using stuck = await openSmtpServer({
    onMessage() {
      holding.resolve();
      return 'hold';
    },
  });
  const id = await send(line.api, 'one');
  {
    await using worker = await startPostrider({
      ...line.env,
      SMTP_URL: `smtp://127.0.0.1:${stuck.port}?tls=none`,
      ROLES: 'worker',
    });
    await holding.promise;
    expect((await line.api.api('GET', `/v1/emails/${id}`)).body.status).toBe('sending');
    worker.kill('SIGKILL');
    await worker.ended;
  }
  await using _worker = await startPostrider({ ...line.env, ROLES: 'worker' });
  await allSent(line, [id]);
  expect(told(line.receiver, id, line.secret)).toEqual(['email.outcome_unknown', 'email.sent']);
  expect((await line.api.api('GET', `/v1/emails/${id}`)).body.recipients[0]).toMatchObject({
    status: 'sent',
    attempts: 2,
  });
});
