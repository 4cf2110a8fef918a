/** A stop ends the process, whatever hangs: a server that never answers, a Redis that is gone for good. */
import { expect, it } from 'vitest';
import { startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { openSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const email = { from: 'a@example.com', to: 'b@example.org', subject: 'Hi', text: 'Hello' };

it('with a message that its server never answers, the process stops after SHUTDOWN_TIMEOUT and another worker delivers it', async () => {
  await using redis = await openTestRedis();
  const reached = Promise.withResolvers<void>();
  await using stuck = await openSmtpServer({
    onMessage() {
      reached.resolve();
      return 'hold';
    },
  });
  await using smtp = await openSmtpServer();
  await using api = await startPostrider({ REDIS_URL: redis.url, ROLES: 'api' });
  await using worker = await startPostrider({
    REDIS_URL: redis.url,
    ROLES: 'worker',
    SMTP_URL: `smtp://127.0.0.1:${stuck.port}?tls=none`,
    SHUTDOWN_TIMEOUT: '500ms',
  });
  const { id } = (await api.api('POST', '/v1/emails', email)).body;
  await reached.promise;
  worker.kill('SIGTERM');
  expect(await worker.ended).toBe(0);

  await using _next = await startPostrider({
    REDIS_URL: redis.url,
    ROLES: 'worker',
    SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none`,
  });
  await until('the mail to arrive', () => smtp.mails.some(({ parsed }) => parsed.messageId === `<${id}@example.com>`));
});

it('while it finishes what it has in hand it lives and is not ready, and a second signal ends it at once', async () => {
  await using redis = await openTestRedis();
  const reached = Promise.withResolvers<void>();
  await using stuck = await openSmtpServer({
    onMessage() {
      reached.resolve();
      return 'hold';
    },
  });
  await using api = await startPostrider({ REDIS_URL: redis.url, ROLES: 'api' });
  await using worker = await startPostrider({
    REDIS_URL: redis.url,
    ROLES: 'worker',
    HEALTH_PORT: '0',
    SMTP_URL: `smtp://127.0.0.1:${stuck.port}?tls=none`,
    SHUTDOWN_TIMEOUT: '10m',
  });
  const [, health = ''] = await worker.printed(/told at (\S+)\/readyz/);
  await api.api('POST', '/v1/emails', email);
  await reached.promise;
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

it('with its Redis gone for good, the process stops all the same', async () => {
  await using redis = await openTestRedis();
  await using postrider = await startPostrider({ REDIS_URL: redis.url, SHUTDOWN_TIMEOUT: '500ms' });
  await redis.stop();
  postrider.kill('SIGTERM');
  expect(await postrider.ended).toBeTypeOf('number');
});

it('a SECRET_KEY that is not the one of the stored webhooks is refused at the start', async () => {
  await using redis = await openTestRedis();
  await using postrider = await startPostrider({ REDIS_URL: redis.url });
  await postrider.api('POST', '/v1/webhooks', { endpoint: 'https://a.example/', events: ['email.sent'] });
  await expect(startPostrider({ REDIS_URL: redis.url, SECRET_KEY: '11'.repeat(32) })).rejects.toThrow(
    'SECRET_KEY is not the one',
  );
});
