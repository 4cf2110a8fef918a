/** Lanes: transactional mail passes a bulk backlog, and each lane has an age limit of its own. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Env, type Postrider, startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { openSmtpServer, type TestSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const base = { from: 'a@example.com', to: 'b@example.org', subject: 'bulk', text: 'Hello' };

const opened = new AsyncDisposableStack();
let env: Env;
let api: Postrider;
let smtp: TestSmtpServer;
beforeAll(async () => {
  const redis = opened.use(await openTestRedis());
  const onRecipient = (address: string) => (address.startsWith('busy') ? '451 4.3.0 Not now' : undefined);
  smtp = opened.use(await openSmtpServer({ onRecipient }));
  env = {
    REDIS_URL: redis.url,
    SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none`,
    WORKER_CONCURRENCY: '1',
    RETRY_MAX_AGE: '300ms',
    RETRY_MAX_AGE_BULK: '1h',
    LOG_LEVEL: 'warn',
  };
  api = opened.use(await startPostrider({ ...env, ROLES: 'api' }));
});
afterAll(() => opened.disposeAsync());

it('mail that a person waits for goes out before a campaign that came first', async () => {
  const bulk = { base: { ...base, lane: 'bulk' }, messages: Array(150).fill({}) };
  expect((await api.api('POST', '/v1/emails/batch', bulk)).status).toBe(202);
  const codes = { base: { ...base, subject: 'code' }, messages: Array(10).fill({}) };
  expect((await api.api('POST', '/v1/emails/batch', codes)).status).toBe(202);
  opened.use(await startPostrider({ ...env, ROLES: 'worker' }));
  await until('all to arrive', () => smtp.mails.length === 160);
  const order = smtp.mails.map(({ parsed }) => parsed.subject);
  // Each lane has one in hand, so they take turns; a start in which one of them is alone is allowed for.
  expect(order.lastIndexOf('code')).toBeLessThan(100);
});

it('bulk may be late: each lane has its own age limit', async () => {
  const send = async (lane: string) =>
    (await api.api('POST', '/v1/emails', { ...base, to: 'busy@example.org', lane })).body.id;
  const look = async (id: string) => (await api.api('GET', `/v1/emails/${id}`)).body;
  const [urgent, bulk] = [await send('transactional'), await send('bulk')];
  await until('the transactional one to fail', async () => (await look(urgent)).status === 'failed');
  await until('the bulk one to be tried again', async () => ((await look(bulk)).recipients[0]?.attempts ?? 0) > 3);
  expect((await look(bulk)).status).toBe('deferred');
});
