/** A stop ends the process, whatever hangs: a server that never answers, a Redis that is gone for good. */
import { once } from 'node:events';
import { request } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { addCampaign } from '../support/campaigns.ts';
import { openFileServers } from '../support/file-server.ts';
import { type Env, main, startPostrider, testApiKey, testKeys } from '../support/postrider.ts';
import { startProcess } from '../support/processes.ts';
import { openTestRedis, type TestRedis } from '../support/redis.ts';
import { openSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

/** One for all that leave it alone. */
const opened = new AsyncDisposableStack();
let redis: TestRedis;
beforeAll(async () => {
  redis = opened.use(await openTestRedis());
});
afterAll(() => opened.disposeAsync());

/** A server that never answers once it has a message. */
async function openStuck() {
  const reached = Promise.withResolvers<void>();
  const server = await openSmtpServer({
    onMessage() {
      reached.resolve();
      return 'hold';
    },
  });
  return { ...server, SMTP_URL: urlOf(server), reached: reached.promise };
}

const urlOf = ({ port }: { port: number }) => `smtp://127.0.0.1:${port}?tls=none`;

const email = { from: 'a@example.com', to: 'b@example.org', subject: 'Hi', text: 'Hello' };

it('with a message that its server never answers, the process stops after SHUTDOWN_TIMEOUT and another worker delivers it', async () => {
  await using stuck = await openStuck();
  await using smtp = await openSmtpServer();
  await using api = await startPostrider({ REDIS_URL: redis.url, ROLES: 'api' });
  await using worker = await startPostrider({
    REDIS_URL: redis.url,
    ROLES: 'worker',
    SMTP_URL: stuck.SMTP_URL,
    SHUTDOWN_TIMEOUT: '500ms',
    NODE_ENV: 'test',
  });
  const { id } = (await api.api('POST', '/v1/emails', email)).body;
  await stuck.reached;
  worker.kill('SIGTERM');
  expect(await worker.ended, worker.output()).toBe(0);
  // The end of its connection makes its outcome unknown, which is stored before Redis is left.
  expect(worker.output()).toMatch(
    new RegExp(
      `"email_id":"${id}".*"outcome":"unknown".*"msg":"attempt"[^]*"emails":0,.*"redis_away":false,"msg":"stopped"`,
    ),
  );
  expect(worker.output()).not.toContain('"msg":"trouble"');
  expect((await api.api('GET', `/v1/emails/${id}`)).body).toMatchObject({
    status: 'deferred',
    recipients: [{ attempts: 1, reason: expect.stringContaining('Postrider closed the connection') }],
  });

  await using _next = await startPostrider({
    REDIS_URL: redis.url,
    ROLES: 'worker',
    SMTP_URL: urlOf(smtp),
  });
  await until('the mail to arrive', () => smtp.mails.some(({ parsed }) => parsed.messageId === `<${id}@example.com>`));
});

it('while it finishes what it has in hand it lives and is not ready, and a second signal ends it at once', async () => {
  await using stuck = await openStuck();
  await using api = await startPostrider({ REDIS_URL: redis.url, ROLES: 'api' });
  await using worker = await startPostrider({
    REDIS_URL: redis.url,
    ROLES: 'worker',
    HEALTH_PORT: '0',
    SMTP_URL: stuck.SMTP_URL,
    SHUTDOWN_TIMEOUT: '10m',
  });
  const [, health = ''] = await worker.printed(/health is at (\S+)\/readyz/);
  await api.api('POST', '/v1/emails', email);
  await stuck.reached;
  worker.kill('SIGTERM');
  await until('it not to be ready', async () => (await fetch(`${health}/readyz`)).status === 503);
  expect((await fetch(`${health}/livez`)).status).toBe(200);

  let end: number | string | undefined;
  void worker.ended.then((code) => {
    end = code;
  });
  // Signals in quick succession are one: npm passes a Ctrl-C on that came already.
  await until('a later signal to end it', () => {
    worker.kill('SIGTERM');
    return end !== undefined;
  });
  expect(end).toBe(130);
});

it('with its Redis gone for good and nothing in hand, the process does not wait for it', async () => {
  await using redis = await openTestRedis();
  await using postrider = await startPostrider({ REDIS_URL: redis.url, SHUTDOWN_TIMEOUT: '10m', NODE_ENV: 'test' });
  await redis.stop();
  postrider.kill('SIGTERM');
  expect(await postrider.ended, postrider.output()).toBe(0);
  expect(postrider.output()).toMatch(/"emails":0,.*"redis_away":true,"msg":"stopped"/);
});

it('with its Redis gone for good and an answer to write down, it waits for SHUTDOWN_TIMEOUT and says what is left', async () => {
  await using redis = await openTestRedis();
  const reached = Promise.withResolvers<void>();
  await using smtp = await openSmtpServer({
    async onMessage() {
      reached.resolve();
      await redis.stop();
      return undefined;
    },
  });
  await using postrider = await startPostrider({
    REDIS_URL: redis.url,
    SMTP_URL: urlOf(smtp),
    SHUTDOWN_TIMEOUT: '500ms',
  });
  await postrider.api('POST', '/v1/emails', email);
  await reached.promise;
  postrider.kill('SIGTERM');
  expect(await postrider.ended, postrider.output()).toBe(1);
  expect(postrider.output()).toContain('(emails: 1, webhook posts: 0). Nothing is lost');
});

/** A process whose email has a file that is not there. It knows so when `answer` has ended. */
async function startFetching(redis: TestRedis, env: Env) {
  await using opened = new AsyncDisposableStack();
  const servers = opened.use(await openFileServers());
  const gate = Promise.withResolvers<void>();
  const files = opened.use(
    await servers.serve(async (_, response) => {
      await gate.promise;
      response.writeHead(404).end();
    }),
  );
  const fetching = { ATTACHMENT_ALLOW_PRIVATE_NETWORKS: 'true', NODE_EXTRA_CA_CERTS: servers.certificate.file };
  const postrider = opened.use(await startPostrider({ REDIS_URL: redis.url, ...fetching, ...env, NODE_ENV: 'test' }));
  await postrider.api('POST', '/v1/emails', { ...email, attachments: [{ path: files.url }] });
  await until('its file to be asked for', () => files.requests.length > 0);
  const answer = () => {
    gate.resolve();
    return until('it to leave the server', () => files.sockets.size === 0);
  };
  const all = opened.move();
  return { postrider, answer, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

it('with its Redis gone for good and a file that is not there, the process does not wait for it', async () => {
  await using redis = await openTestRedis();
  await using fetching = await startFetching(redis, { SHUTDOWN_TIMEOUT: '10m' });
  const { postrider, answer } = fetching;
  await redis.stop();
  await answer();
  postrider.kill('SIGTERM');
  expect(await postrider.ended, postrider.output()).toBe(0);
  expect(postrider.output()).toMatch(/"emails":0,.*"redis_away":true,"msg":"stopped"/);
});

it('with a Redis that is full and a file that is not there, the process stops after SHUTDOWN_TIMEOUT', async () => {
  await using redis = await openTestRedis();
  await using fetching = await startFetching(redis, { SHUTDOWN_TIMEOUT: '500ms' });
  const { postrider, answer } = fetching;
  await redis.connect().config('SET', 'maxmemory', '1');
  await answer();
  await postrider.printed(/"part":"settle"/);
  postrider.kill('SIGTERM');
  expect(await postrider.ended, postrider.output()).toBe(0);
  expect(postrider.output()).toMatch(/"emails":0,.*"redis_away":false,"msg":"stopped"/);
});

/** A server that takes connections and answers none. */
async function openMute() {
  const connected = Promise.withResolvers<void>();
  const server = createServer(() => connected.resolve()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { port, connected: connected.promise, [Symbol.dispose]: () => void server.close() };
}

it('an upload, a campaign and a webhook that hang have SHUTDOWN_TIMEOUT together, and the log says what is left', async () => {
  await using redis = await openTestRedis();
  await using stuck = await openStuck();
  using mute = await openMute();
  await using postrider = await startPostrider({
    REDIS_URL: redis.url,
    SMTP_URL: stuck.SMTP_URL,
    WEBHOOK_ALLOW_PRIVATE_NETWORKS: 'true',
    WEBHOOK_TIMEOUT: '10m',
    // Two of them, one after the other, would be more than it has.
    SHUTDOWN_TIMEOUT: '4s',
    NODE_ENV: 'test',
  });
  const { api, url } = postrider;
  await api('POST', '/v1/webhooks', { endpoint: `http://127.0.0.1:${mute.port}/`, events: ['email.queued'] });
  await api('POST', '/v1/emails', { ...email, to: 'delivered@sandbox.invalid' });
  const sent = await addCampaign(redis.connect(), { recipients: 1 });
  const { id } = (await api('POST', '/v1/campaigns', { name: 'n', from: 'a@x.co', subject: 's', text: 't' })).body;
  const headers = { authorization: `Bearer ${testApiKey}`, 'content-type': 'application/x-ndjson' };
  const upload = request(`${url}/v1/campaigns/${id}/recipients`, { method: 'POST', headers });
  const cut = new Promise<Error>((resolve) => upload.on('error', resolve));
  await new Promise<void>((sent) => upload.write('{"email":', () => sent()));
  await Promise.all([stuck.reached, mute.connected]);
  postrider.kill('SIGTERM');
  expect(await postrider.ended, postrider.output()).toBe(1);
  expect(await cut).toMatchObject({ code: 'ECONNRESET' });
  expect(postrider.output()).toMatch(new RegExp(`"campaign_id":"${sent}".*"msg":"slice"`));
  expect(postrider.output()).toContain('"emails":0,"email_ids":[],"posts":1,"redis_away":false,"msg":"stopped"');
});

it('a stop ends a start that waits for a Redis which says nothing', async () => {
  using mute = await openMute();
  const REDIS_URL = `redis://127.0.0.1:${mute.port}`;
  await using starting = startProcess(process.execPath, [main], { env: { ...testKeys, REDIS_URL } });
  await mute.connected;
  starting.kill('SIGTERM');
  expect(await starting.ended, starting.output()).toBe(0);
});

it('a SECRET_KEY that is not the one of the stored webhooks is refused at the start', async () => {
  await using postrider = await startPostrider({ REDIS_URL: redis.url });
  await postrider.api('POST', '/v1/webhooks', { endpoint: 'https://a.example/', events: ['email.sent'] });
  await expect(startPostrider({ REDIS_URL: redis.url, SECRET_KEY: '11'.repeat(32) })).rejects.toThrow(
    'SECRET_KEY is not the one',
  );
});
