/** POST …/retry under an Idempotency-Key: a repeat is answered as the first was and retries nothing, though the email has failed again since. */
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Postrider, startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let redis: Redis;
let api: Postrider;
beforeAll(async () => {
  const server = opened.use(await openTestRedis());
  redis = server.connect();
  // Nobody listens there: what is sent expires.
  const env = { REDIS_URL: server.url, SMTP_URL: 'smtp://127.0.0.1:1?tls=none', LOG_LEVEL: 'warn' };
  api = opened.use(await startPostrider(env));
});
afterAll(() => opened.disposeAsync());

const look = async (id: string) => (await api.api('GET', `/v1/emails/${id}`)).body;
const expired = (id: string) =>
  until(
    'it to expire',
    async () => (await look(id)).status === 'expired',
    () => look(id),
  );
const retry = (id: string, key: string) =>
  api.api('POST', `/v1/emails/${id}/retry`, undefined, { 'idempotency-key': key });
const eventCount = async (id: string) => (await api.api('GET', `/v1/emails/${id}/events`)).body.data.length;

async function expiredEmail(): Promise<string> {
  const email = { from: 'a@example.com', to: 'b@example.org', subject: 'Hi', text: 'Hello', ttl: 1 };
  const { id } = (await api.api('POST', '/v1/emails', email)).body;
  await expired(id);
  return id;
}

it('retries once for each key', async () => {
  const id = await expiredEmail();
  const answers = await Promise.all(['one', 'one', 'one'].map((key) => retry(id, key)));
  const firsts = answers.filter(
    ({ status, headers }) => status === 200 && headers['idempotent-replayed'] === undefined,
  );
  expect(firsts).toMatchObject([{ body: { object: 'email', id, status: 'queued' } }]);
  await expired(id);
  const events = await eventCount(id);
  expect(await retry(id, 'one')).toMatchObject({
    status: 200,
    body: { object: 'email', id, status: 'queued' },
    headers: { 'idempotent-replayed': 'true' },
  });
  expect(await eventCount(id)).toBe(events);
  expect((await look(id)).status).toBe('expired');
  expect(await retry(id, 'two')).toMatchObject({ status: 200, body: { status: 'queued' } });
});

it('a key belongs to one email, and is free again if the retry was refused', async () => {
  const [id, other] = [await expiredEmail(), await expiredEmail()];
  await retry(id, 'mine');
  const detail = expect.stringContaining('another id in the path');
  expect(await retry(other, 'mine')).toMatchObject({
    status: 422,
    body: { name: 'invalid_idempotent_request', detail },
  });
  await api.api('POST', `/v1/emails/${id}/cancel`);
  expect((await retry(id, 'late')).status).toBe(409);
  expect((await retry(other, 'late')).status).toBe(200);
});

it('a repeat of one whose process died before it could answer retries nothing more', async () => {
  const id = await expiredEmail();
  await retry(id, 'died');
  await expired(id);
  for (const key of await redis.keys('pr:{0}:idem:*')) {
    const stored = (await redis.get(key)) ?? '';
    if (stored.includes(' done')) await redis.set(key, stored.split(' ').slice(0, 3).join(' '), 'KEEPTTL');
  }
  expect(await retry(id, 'died')).toMatchObject({ status: 200, headers: { 'idempotent-replayed': 'true' } });
  expect((await look(id)).status).toBe('expired');
});
