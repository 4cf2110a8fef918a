/** Redis in every kind of trouble while mail is on its way: 503 until it is over, and no email failed, lost or sent twice for it. */
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type ApiClient, startPostrider } from '../support/postrider.ts';
import { failToSave, openTestRedis, type TestRedis } from '../support/redis.ts';
import { openSmtpServer, type TestSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let server: TestRedis;
let redis: Redis;
let smtp: TestSmtpServer;
let api: ApiClient;
/** While it is not null, the server has the message and gives no answer before it resolves. */
let held: PromiseWithResolvers<void> | null = null;
let reached = Promise.withResolvers<void>();
beforeAll(async () => {
  server = opened.use(await openTestRedis());
  redis = server.connect();
  redis.on('error', () => {});
  smtp = opened.use(
    await openSmtpServer({
      async onMessage() {
        reached.resolve();
        await held?.promise;
        return undefined;
      },
    }),
  );
  const SMTP_URL = `smtp://127.0.0.1:${smtp.port}?tls=none`;
  ({ api } = opened.use(await startPostrider({ REDIS_URL: server.url, SMTP_URL, WORKER_LOCK: '3s' })));
});
afterAll(() => opened.disposeAsync());

const email = { from: 'a@example.com', to: 'b@example.org', subject: 'Hi', text: 'Hello' };

/** Keeps Redis busy with a script that never ends. */
function keepBusy(): void {
  const client = server.connect({ maxRetriesPerRequest: 0, retryStrategy: () => null });
  client.on('error', () => {});
  void client
    .eval('while true do end', 0)
    .catch(() => {})
    .finally(() => client.disconnect());
}

/** Whether it answers with that and no more. */
function refusal(code: string): Promise<boolean> {
  return server
    .tell((client) => client.ping())
    .then(
      () => false,
      (error: Error) => error.message.startsWith(code),
    );
}

/** Has a snapshot succeed again. */
let unblock = async () => {};

const troubles: Record<string, { begin(): Promise<unknown>; end(): Promise<unknown>; readable: boolean }> = {
  'full (OOM)': {
    begin: () => redis.config('SET', 'maxmemory', '1'),
    end: () => redis.config('SET', 'maxmemory', '0'),
    readable: true,
  },
  'a replica (READONLY)': {
    begin: () => redis.replicaof('127.0.0.1', '1'),
    end: () => redis.replicaof('NO', 'ONE'),
    readable: true,
  },
  'not able to save (MISCONF)': {
    async begin() {
      await redis.config('SET', 'save', '3600 1');
      unblock = await failToSave(server, redis);
    },
    async end() {
      await unblock();
      await redis.config('SET', 'save', '');
    },
    readable: true,
  },
  'without its replicas (NOREPLICAS)': {
    begin: () => redis.config('SET', 'min-replicas-to-write', '1'),
    end: () => redis.config('SET', 'min-replicas-to-write', '0'),
    readable: true,
  },
  'busy with a script (BUSY)': {
    async begin() {
      await redis.config('SET', 'lua-time-limit', '50');
      keepBusy();
      await until('it to be busy', () => refusal('BUSY'));
    },
    end: () => redis.script('KILL'),
    readable: false,
  },
  'loading its data (LOADING)': {
    async begin() {
      // A minute of it.
      await server.restartLoading(60_000);
      await until('it to load', () => refusal('LOADING'));
    },
    end: () => server.tell((client) => client.config('SET', 'key-load-delay', '0')),
    readable: false,
  },
  away: { begin: () => server.stop(), end: () => server.start(), readable: false },
};

it.each(Object.entries(troubles))('Redis is %s', async (name, { begin, end, readable }) => {
  held = Promise.withResolvers<void>();
  reached = Promise.withResolvers<void>();
  const inFlight = (await api('POST', '/v1/emails', { ...email, subject: name })).body.id;
  await reached.promise;
  const over = new AsyncDisposableStack();
  over.defer(async () => void (await end()));
  await using _cure = over;
  await begin();
  // Its 250 comes when it cannot be written down.
  held.resolve();
  held = null;

  const key = { 'idempotency-key': name };
  const refused = await until('new mail to be refused', async () => {
    const answer = await api('POST', '/v1/emails', email, key);
    return answer.status === 503 && answer;
  });
  expect(refused.headers['retry-after']).toBe('2');
  expect(refused.body.detail).toMatch(/store is not available|New mail is refused/);
  // A connection to one that takes no writes is made anew now and then, as another may have taken its place: at that moment nothing is readable.
  const look = async () => (await api('GET', `/v1/emails/${inFlight}`)).status === (readable ? 200 : 503);
  await until(readable ? 'an email to be told of' : 'nothing to be told', look);
  expect((await api('GET', '/livez')).status).toBe(200);

  await over.disposeAsync();
  const taken = await until('new mail to be taken', async () => {
    const answer = await api('POST', '/v1/emails', email, key);
    return answer.status === 202 && answer;
  });
  for (const id of [inFlight, taken.body.id]) {
    const sent = await until('it to be sent', async () => {
      const { body } = await api('GET', `/v1/emails/${id}`);
      return body.status === 'sent' && body;
    });
    expect(sent.recipients).toMatchObject([{ attempts: 1, smtp: { code: 250 } }]);
    expect(smtp.mails.filter(({ parsed }) => parsed.messageId === `<${id}@example.com>`)).toHaveLength(1);
  }
  expect((await api('GET', '/readyz')).status).toBe(200);
});
