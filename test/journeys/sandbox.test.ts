/** Sandbox recipients over the whole service: each comes to what its name says, is told of in order, and nothing of it reaches a server. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Postrider, startPostrider } from '../support/postrider.ts';
import { openReceiver, type Receiver } from '../support/receiver.ts';
import { openTestRedis } from '../support/redis.ts';
import { openSmtpServer, type TestSmtpServer } from '../support/smtp-server.ts';
import { openWorld, transportAt, type World } from '../support/transports-world.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let smtp: TestSmtpServer;
let receiver: Receiver;
let world: World;
let worker: Postrider;
let secret: string;
beforeAll(async () => {
  smtp = opened.use(await openSmtpServer());
  receiver = opened.use(await openReceiver());
  const transports = { main: transportAt(smtp.port), down: transportAt(1) };
  const routes = { default: { failover: ['main'] }, down: { failover: ['down'] } };
  world = opened.use(await openWorld({ transports, routes }, { WEBHOOK_ALLOW_PRIVATE_NETWORKS: 'true' }));
  const names = ['sent', 'delivered', 'bounced', 'delivery_delayed', 'complained', 'failed', 'outcome_unknown'];
  const events = names.map((name) => `email.${name}`);
  const { body } = await world.api.api('POST', '/v1/webhooks', { endpoint: receiver.url, events });
  secret = body.signing_secret;
  worker = await world.startWorker();
});
afterAll(() => opened.disposeAsync());

const send = (to: readonly string[], more: object = {}) => world.send({ to, subject: to.join(), ...more });

/** Waits until the recipients stand so, in the order they were given. */
async function come(id: string, statuses: readonly string[], by: Postrider = world.api) {
  const look = async () => (await by.api('GET', `/v1/emails/${id}`)).body;
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

it('an email to both kinds is split: the server sees only the real recipients, once', async () => {
  const id = await send(['deferred@sandbox.invalid', 'real@example.org', 'bounced@sandbox.invalid']);
  expect(await come(id, ['sent', 'sent', 'bounced'])).toMatchObject([
    { transport: 'sandbox', attempts: 3 },
    { transport: 'main', attempts: 1 },
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
  const to = ['real@example.org', 'delivered@sandbox.invalid', 'deferred@sandbox.invalid'];
  const id = await send(to, { route: 'down' });
  expect(await come(id, ['queued', 'delivered', 'sent'])).toMatchObject([
    { attempts: 0, transport: 'down' },
    { attempts: 1 },
    { attempts: 3 },
  ]);
});

it('slow@sandbox.invalid is sending for a while, and is answered even if its worker is killed meanwhile', async () => {
  const id = await send(['slow@sandbox.invalid', 'real@example.org']);
  await until('the hand-over', async () => (await world.read(id)).status === 'sending');
  worker.kill('SIGKILL');
  await worker.ended;
  expect(mailsFor(id)).toEqual([]);
  worker = await world.startWorker();
  expect(await come(id, ['sent', 'sent'])).toMatchObject([
    { attempts: 1, transport: 'sandbox', smtp: { code: 250 } },
    { attempts: 1, transport: 'main' },
  ]);
  expect(mailsFor(id).map(({ to }) => to)).toEqual([['real@example.org']]);
});

it('stays out of the dev inbox, which has the others', async () => {
  await using redis = await openTestRedis();
  await using dev = await startPostrider({ REDIS_URL: redis.url });
  const to = ['delivered@sandbox.invalid', 'real@example.org'];
  const email = { from: 'a@example.com', to, subject: 'Hi', text: 'Hello' };
  const { id } = (await dev.api('POST', '/v1/emails', email)).body;
  await come(id, ['delivered', 'sent'], dev);
  const { data } = (await dev.api('GET', '/dev/inbox.json')).body;
  expect(data.map((mail) => (mail as { envelope?: { to: string[] } }).envelope?.to)).toEqual([['real@example.org']]);
});
