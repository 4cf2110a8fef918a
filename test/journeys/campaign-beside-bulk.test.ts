/** A campaign and other bulk mail over one transport with a rate: neither stands while the other has mail to send. */
import { afterAll, expect, it } from 'vitest';
import { addCampaign, standingOf } from '../support/campaigns.ts';
import { startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { openSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
afterAll(() => opened.disposeAsync());

it('a campaign has its half of the rate while more bulk mail waits than it lets out', async () => {
  const server = opened.use(await openTestRedis());
  const redis = server.connect();
  const smtp = opened.use(await openSmtpServer());
  const SMTP_URL = `smtp://127.0.0.1:${smtp.port}?tls=none&rate=20/s`;
  const env = { REDIS_URL: server.url, SMTP_URL, PUBLIC_URL: 'http://mail.test', LOG_LEVEL: 'warn' };
  const { api } = opened.use(await startPostrider(env));
  const base = { from: 'a@example.com', to: 'b@example.org', subject: 'other bulk', text: 'Hello', lane: 'bulk' };
  const batch = await api('POST', '/v1/emails/batch', { base, messages: Array(1_000).fill({}) });
  expect(batch.status).toBe(202);
  const others = () => smtp.mails.filter(({ parsed }) => parsed.subject === 'other bulk').length;
  await until('the first to arrive', () => others() > 0);

  const othersBefore = others();
  const recipients = Array.from({ length: 40 }, (_, n) => ({ address: `r${n}@reader.test`, variables: {} }));
  const id = await addCampaign(redis, { recipients });
  await until('the campaign to be completed', async () => (await standingOf(redis, id)).status === 'completed');
  expect(others() - othersBefore).toBeGreaterThan(20);
  expect(others() - othersBefore).toBeLessThan(80);
});
