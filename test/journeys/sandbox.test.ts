/** Sandbox recipients over the whole service: each comes to what its name says, is told of in order, and nothing of it reaches a server. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Env, type Postrider, startPostrider } from '../support/postrider.ts';
import { openReceiver, type Receiver } from '../support/receiver.ts';
import { openTestRedis } from '../support/redis.ts';
import { openSmtpServer, type TestSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let env: Env;
let smtp: TestSmtpServer;
let receiver: Receiver;
let postrider: Postrider;
let secret: string;
beforeAll(async () => {
  const redis = opened.use(await openTestRedis());
  smtp = opened.use(await openSmtpServer());
  receiver = opened.use(await openReceiver());
  env = {
    REDIS_URL: redis.url,
    SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none`,
    WEBHOOK_ALLOW_PRIVATE_NETWORKS: 'true',
  };
  postrider = opened.use(await startPostrider(env));
  const names = ['sent', 'delivered', 'bounced', 'delivery_delayed', 'complained', 'failed', 'outcome_unknown'];
  const events = names.map((name) => `email.${name}`);
  const { body } = await postrider.api('POST', '/v1/webhooks', { endpoint: receiver.url, events });
  secret = body.signing_secret;
});
afterAll(() => opened.disposeAsync());

async function send(to: readonly string[], by: Postrider = postrider): Promise<string> {
  const email = { from: 'a@example.com', to, subject: to.join(), text: 'Hello' };
  const { status, body } = await by.api('POST', '/v1/emails', email);
  expect(status).toBe(202);
  return body.id;
}

const lookAt = async (id: string, by: Postrider = postrider) => (await by.api('GET', `/v1/emails/${id}`)).body;

/** Waits until the recipients stand so, in the order they were given. */
async function come(id: string, statuses: readonly string[], by: Postrider = postrider) {
  const look = () => lookAt(id, by);
  return until(
    `${id} to be ${statuses}`,
    async () => {
      const { recipients } = await look();
      return recipients.map(({ status }) => status).join() === statuses.join() && recipients;
    },
    look,
  );
}

/** What webhooks told of an email, in the order of its events. */
async function told(id: string, count: number) {
  const events = await until(
    `${count} events of ${id}`,
    () => {
      const got = receiver.eventsOf(id, secret);
      return got.length >= count && got;
    },
    () => receiver.eventsOf(id, secret),
  );
  return events
    .toSorted((a, b) => a.data.sequence - b.data.sequence)
    .map(({ type, data }) => [type, data.to.map((address) => address.split('@')[0]).join()]);
}

const mailsFor = (id: string) => smtp.mails.filter(({ raw }) => raw.includes(`Message-ID: <${id}@`));

it.each([
  { to: 'delivered', status: 'delivered', attempts: 1, code: 250, events: ['sent', 'delivered'] },
  { to: 'bounced', status: 'bounced', attempts: 1, code: 550, events: ['bounced'] },
  { to: 'Bounced+order-17', status: 'bounced', attempts: 1, code: 550, events: ['bounced'] },
  { to: 'deferred', status: 'sent', attempts: 3, code: 250, events: ['delivery_delayed', 'sent'] },
  { to: 'complained', status: 'complained', attempts: 1, code: 250, events: ['sent', 'complained'] },
  { to: 'nobody', status: 'bounced', attempts: 1, code: 550, events: ['bounced'] },
])('$to@sandbox.invalid becomes $status after $attempts', async ({ to, status, attempts, code, events }) => {
  const id = await send([`${to}@sandbox.invalid`]);
  expect(await come(id, [status])).toMatchObject([{ attempts, transport: 'sandbox', smtp: { code } }]);
  expect(await told(id, events.length)).toEqual(events.map((name) => [`email.${name}`, to]));
  expect(mailsFor(id)).toEqual([]);
});

it('of an email to both kinds, each gets its own: the server sees the others alone, once', async () => {
  const id = await send(['deferred@sandbox.invalid', 'real@example.org', 'bounced@sandbox.invalid']);
  expect(await come(id, ['sent', 'sent', 'bounced'])).toMatchObject([
    { transport: 'sandbox', attempts: 3 },
    { transport: 'default', attempts: 1 },
    { transport: 'sandbox', attempts: 1 },
  ]);
  expect(mailsFor(id).map(({ to }) => to)).toEqual([['real@example.org']]);
  const events = await told(id, 4);
  expect(events.toSorted()).toEqual([
    ['email.bounced', 'bounced'],
    ['email.delivery_delayed', 'deferred'],
    ['email.sent', 'deferred'],
    ['email.sent', 'real'],
  ]);
});

it('needs no server: the sandbox answers while the transport is in trouble, whose recipients wait', async () => {
  await using redis = await openTestRedis();
  await using cut = await startPostrider({ ...env, REDIS_URL: redis.url, SMTP_URL: 'smtp://127.0.0.1:1?tls=none' });
  const id = await send(['real@example.org', 'delivered@sandbox.invalid', 'deferred@sandbox.invalid'], cut);
  expect(await come(id, ['queued', 'delivered', 'sent'], cut)).toMatchObject([
    { attempts: 0, transport: 'default' },
    { attempts: 1 },
    { attempts: 3 },
  ]);
});

it('slow@sandbox.invalid is sending for a while; killed meanwhile, it alone is unknown, and sent again', async () => {
  await using redis = await openTestRedis();
  const own = { ...env, REDIS_URL: redis.url };
  await using api = await startPostrider({ ...own, ROLES: 'api' });
  const id = await (async () => {
    await using worker = await startPostrider({ ...own, ROLES: 'worker' });
    const accepted = await send(['slow@sandbox.invalid', 'real@example.org'], api);
    await until('the hand-over', async () => (await lookAt(accepted, api)).status === 'sending');
    worker.kill('SIGKILL');
    await worker.ended;
    return accepted;
  })();
  expect(mailsFor(id)).toEqual([]);
  await using _worker = await startPostrider({ ...own, ROLES: 'worker' });
  const [slow, real] = await come(id, ['sent', 'sent'], api);
  // On a machine so busy that a lock lapses, the sandbox is asked once more.
  expect(slow?.attempts).toBeGreaterThanOrEqual(2);
  expect(real?.attempts).toBe(1);
  expect(mailsFor(id).map(({ to }) => to)).toEqual([['real@example.org']]);
});

it('stays out of the dev inbox, which has the others', async () => {
  await using redis = await openTestRedis();
  await using dev = await startPostrider({ ...env, REDIS_URL: redis.url, SMTP_URL: undefined });
  const id = await send(['delivered@sandbox.invalid', 'real@example.org'], dev);
  await come(id, ['delivered', 'sent'], dev);
  const { data } = (await dev.api('GET', '/dev/inbox.json')).body;
  expect(data.map((mail) => (mail as { envelope?: { to: string[] } }).envelope?.to)).toEqual([['real@example.org']]);
});
