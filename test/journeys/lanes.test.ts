/** Lanes: transactional mail passes a bulk backlog, and each lane has an age limit of its own. */
import { expect, it } from 'vitest';
import { type Postrider, startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { openSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const base = { from: 'a@example.com', to: 'b@example.org', subject: 'bulk', text: 'Hello' };

it('what a person waits for is out before the campaign that was there first', async () => {
  await using redis = await openTestRedis();
  await using smtp = await openSmtpServer();
  const env = { REDIS_URL: redis.url, SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none`, WORKER_CONCURRENCY: '1' };
  await using api = await startPostrider({ ...env, ROLES: 'api', LOG_LEVEL: 'warn' });
  const bulk = { base: { ...base, lane: 'bulk' }, messages: Array(300).fill({}) };
  expect((await api.api('POST', '/v1/emails/batch', bulk)).status).toBe(202);
  const codes = { base: { ...base, subject: 'code' }, messages: Array(10).fill({}) };
  expect((await api.api('POST', '/v1/emails/batch', codes)).status).toBe(202);
  await using _worker = await startPostrider({ ...env, ROLES: 'worker', LOG_LEVEL: 'warn' });
  await until('all to arrive', () => smtp.mails.length === 310);
  const order = smtp.mails.map(({ parsed }) => parsed.subject);
  // Each lane has one in hand, so they take turns; a start in which one of them is alone is allowed for.
  expect(order.lastIndexOf('code')).toBeLessThan(100);
});

it('bulk may be late: the age limit of one lane is not that of the other', async () => {
  await using redis = await openTestRedis();
  await using smtp = await openSmtpServer({ onRecipient: () => '451 4.3.0 Not now' });
  await using postrider = await startPostrider({
    REDIS_URL: redis.url,
    SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none`,
    RETRY_MAX_AGE: '300ms',
    RETRY_MAX_AGE_BULK: '1h',
  });
  const send = async (lane: string) => (await postrider.api('POST', '/v1/emails', { ...base, lane })).body.id;
  const ids = [await send('transactional'), await send('bulk')];
  await until('the transactional one to fail', async () => (await look(postrider, ids[0])).status === 'failed');
  await until(
    'the bulk one to be tried again',
    async () => ((await look(postrider, ids[1])).recipients[0]?.attempts ?? 0) > 3,
  );
  expect((await look(postrider, ids[1])).status).toBe('deferred');
});

async function look(postrider: Postrider, id: string | undefined) {
  return (await postrider.api('GET', `/v1/emails/${id}`)).body;
}
