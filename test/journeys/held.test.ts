/** on_unknown: hold. What may have been handed over is not sent again until that is asked for, and then under the same Message-ID. */
import { expect, it } from 'vitest';
import { startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { openSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

it.each([
  [
    'the Message-ID it was given',
    { headers: { 'Message-ID': '<order.17@shop.example.com>' } },
    () => '<order.17@shop.example.com>',
  ],
  ['the Message-ID that was made for it', {}, (id: string) => `<${id}@example.com>`],
])('an email whose worker died after the hand-over is held, and retried under %s', async (_, more, messageIdOf) => {
  await using redis = await openTestRedis();
  const handedOver: string[] = [];
  await using stuck = await openSmtpServer({
    onMessage({ raw }) {
      handedOver.push(raw.toString());
      return 'hold';
    },
  });
  let deferrals = 0;
  await using smtp = await openSmtpServer({ onMessage: () => (++deferrals <= 2 ? '451 4.3.0 Later' : undefined) });
  const env = { REDIS_URL: redis.url, SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none`, LOG_LEVEL: 'warn' };
  await using api = await startPostrider({ ...env, ROLES: 'api' });
  const request = {
    from: 'a@example.com',
    to: 'b@example.org',
    subject: 'Hi',
    text: 'Hello',
    on_unknown: 'hold',
    ...more,
  };
  const { id } = (await api.api('POST', '/v1/emails', request)).body;
  const look = async () => (await api.api('GET', `/v1/emails/${id}`)).body;
  {
    await using worker = await startPostrider({
      ...env,
      SMTP_URL: `smtp://127.0.0.1:${stuck.port}?tls=none`,
      ROLES: 'worker',
    });
    await until('the hand-over', () => handedOver.length > 0);
    worker.kill('SIGKILL');
    await worker.ended;
  }
  await using _worker = await startPostrider({ ...env, ROLES: 'worker' });
  await until('it to be held', async () => (await look()).status === 'outcome_unknown', look);
  expect(await look()).toMatchObject({ last_event: 'outcome_unknown', attempts: 1 });
  expect(smtp.mails).toEqual([]);

  expect(await api.api('POST', `/v1/emails/${id}/retry`)).toMatchObject({ status: 200, body: { status: 'queued' } });
  await until('it to be sent', async () => (await look()).status === 'sent', look);
  expect(await look()).toMatchObject({ attempts: 3, message_id: messageIdOf(id) });
  expect(smtp.mails.map(({ parsed }) => parsed.messageId)).toEqual([messageIdOf(id)]);
  expect(handedOver[0]).toContain(`Message-ID: ${messageIdOf(id)}`);
  const { body } = await api.api('GET', `/v1/emails/${id}/events`);
  expect(body.data.map((entry) => (entry as unknown as { kind: string }).kind)).toEqual([
    'accepted',
    'unknown',
    'retried',
    'answered',
    'answered',
    'answered',
  ]);
});
