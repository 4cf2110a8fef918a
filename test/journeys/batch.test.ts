/** Batches over several processes: one key makes one batch, and each of its emails is delivered once. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Postrider, startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { openSmtpServer, type TestSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let apis: Postrider[];
let smtp: TestSmtpServer;
beforeAll(async () => {
  const redis = opened.use(await openTestRedis());
  smtp = opened.use(await openSmtpServer());
  const env = { REDIS_URL: redis.url, SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none`, LOG_LEVEL: 'warn' };
  apis = [opened.use(await startPostrider(env)), opened.use(await startPostrider({ ...env, ROLES: 'api' }))];
});
afterAll(() => opened.disposeAsync());

const base = { from: 'a@example.com', subject: 'Race', text: 'Hello' };

async function arrived(count: number): Promise<void> {
  await until(
    `${count} mails`,
    () => smtp.mails.length >= count,
    () => smtp.mails.length,
  );
}

it('twenty racing batches with one key over two processes make one batch, each email of which arrives once', async () => {
  const messages = Array.from({ length: 50 }, (_, n) => ({ to: `b${n}@example.org` }));
  const answers = await Promise.all(
    Array.from({ length: 20 }, async (_, n) =>
      apis[n % 2]?.api('POST', '/v1/emails/batch', { base, messages }, { 'idempotency-key': 'race' }),
    ),
  );
  const ids = new Set(answers.map((answer) => answer?.body.data.map(({ id }) => id).join()));
  expect([...new Set(answers.map((answer) => answer?.status))]).toEqual([202]);
  expect(ids.size).toBe(1);
  expect(answers.filter((answer) => answer?.headers['idempotent-replayed'] === 'true')).toHaveLength(19);
  await apis[1]?.api('POST', '/v1/emails', { ...base, to: 'last@example.org' });
  await arrived(51);
  expect(smtp.mails.map(({ to }) => to[0]).toSorted()).toEqual(
    [...messages.map(({ to }) => to), 'last@example.org'].toSorted(),
  );
});

it('racing emails and batches with the keys of the same emails make each email once', async () => {
  const before = smtp.mails.length;
  const emails = Array.from({ length: 20 }, (_, n) => ({
    ...base,
    to: `k${n}@example.org`,
    idempotency_key: `key-${n}`,
  }));
  const singly = emails.map(({ idempotency_key, ...email }, n) =>
    apis[n % 2]?.api('POST', '/v1/emails', email, { 'idempotency-key': idempotency_key }),
  );
  const together = [0, 1, 0, 1].map((n) => apis[n]?.api('POST', '/v1/emails/batch', emails.toReversed()));
  const ids = (await Promise.all(singly)).map((answer) => answer?.body.id);
  for (const answer of await Promise.all(together))
    expect(answer?.body.data.map(({ id }) => id)).toEqual(ids.toReversed());
  expect(new Set(ids).size).toBe(20);
  await apis[0]?.api('POST', '/v1/emails', { ...base, to: 'last@example.org' });
  await arrived(before + 21);
  expect(smtp.mails).toHaveLength(before + 21);
});
