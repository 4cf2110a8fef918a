/** Retention as a caller sees it: first the content of an email is gone, then the email; what waits stays. */
import { expect, it } from 'vitest';
import { type ApiClient, startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const email = { from: 'a@example.com', subject: 'Hi', text: 'Hello', html: '<p>Hello</p>' };
const file = { filename: 'a.txt', content: Buffer.from('Hello').toString('base64') };

async function htmlOf(api: ApiClient, id: string): Promise<string | null> {
  const { html } = (await api('GET', `/v1/emails/${id}`)).body as unknown as { html: string | null };
  return html;
}

it('content and record of an email that ended go, mail that waits stays, and nothing but events and what workers know of each other is left in Redis', async () => {
  await using server = await openTestRedis();
  const redis = server.connect();
  const env = { REDIS_URL: server.url, RETENTION_CONTENT: '0s', RETENTION_RECORDS: '4s' };
  await using postrider = await startPostrider(env);
  const { api } = postrider;
  const post = async (given: object) => (await api('POST', '/v1/emails', { ...email, ...given })).body.id;
  const later = new Date(Date.now() + 3_600_000).toISOString();
  const waiting = await post({ to: 'c@example.org', scheduled_at: later, attachments: [file] });
  const canceled = await post({ to: 'd@example.org', scheduled_at: later });
  await api('POST', `/v1/emails/${canceled}/cancel`);
  const sent = await post({ to: 'delivered@sandbox.invalid', attachments: [file] });

  await until('its content to go', async () => (await htmlOf(api, sent)) === null);
  expect((await api('GET', `/v1/emails/${sent}`)).body).toMatchObject({
    html: null,
    text: null,
    attachments: [],
    status: 'delivered',
    subject: 'Hi',
  });
  expect((await api('GET', `/v1/emails/${sent}/events`)).status).toBe(200);
  for (const id of [sent, canceled])
    await until('its record to go', async () => (await api('GET', `/v1/emails/${id}`)).status === 404);
  expect((await api('GET', '/v1/emails')).body.data.map(({ id }) => id)).toEqual([waiting]);
  expect((await api('GET', `/v1/emails/${waiting}`)).body).toMatchObject({
    text: 'Hello',
    attachments: [{ bytes: 5 }],
  });

  await api('POST', `/v1/emails/${waiting}/cancel`);
  await until('the last one to go', async () => (await api('GET', `/v1/emails/${waiting}`)).status === 404);
  const left = (await redis.keys('*')).filter((key) => !key.startsWith('pr:{0}:q:')).sort();
  expect(left.filter((key) => !/^pr:\{0\}:(?:outbox|bell|routings|allotments:.*)$/.test(key))).toEqual([]);
  expect(postrider.output()).toMatch(/retention/);
});

it('an email that expired is not sent again without its content, and its refusal says so', async () => {
  await using server = await openTestRedis();
  const unreachable = 'smtp://127.0.0.1:1?tls=none';
  const env = { REDIS_URL: server.url, RETENTION_CONTENT: '0s', SMTP_URL: unreachable };
  await using postrider = await startPostrider(env);
  const { api } = postrider;
  const { id } = (await api('POST', '/v1/emails', { ...email, to: 'b@example.org', ttl: 1 })).body;
  await until('its content to go', async () => (await htmlOf(api, id)) === null);
  const refused = await api('POST', `/v1/emails/${id}/retry`);
  expect(refused.status).toBe(409);
  expect(refused.body.detail).toBe(
    `Email ${id} cannot be retried: its content has been dropped (RETENTION_CONTENT). Its status is expired.`,
  );
});
