/** Large emails are in hand a few at a time, so that memory is bounded; small ones and the other lane go on beside them. */
import { afterAll, expect, it } from 'vitest';
import { startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { openScriptedSmtp } from '../support/scripted-smtp.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
afterAll(() => opened.disposeAsync());

it('while a large email is being sent another of its lane waits, a small one and one of the other lane do not', async () => {
  const redis = opened.use(await openTestRedis());
  const held: string[] = [];
  const smtp = opened.use(
    await openScriptedSmtp((stage, line) => {
      if (stage === 'RCPT') held.push(/<(\w+)@/.exec(line)?.[1] ?? '');
      return stage === 'DATA' && /large/.test(held.at(-1) ?? '') ? 'stall' : undefined;
    }),
  );
  const SMTP_URL = `smtp://127.0.0.1:${smtp.port}?tls=none`;
  const postrider = opened.use(
    await startPostrider({ REDIS_URL: redis.url, SMTP_URL, WORKER_MAIL_BYTES: '1mb', SHUTDOWN_TIMEOUT: '100ms' }),
  );
  const send = async (name: string, kilobytes: number, more: object = {}) => {
    const content = Buffer.alloc(kilobytes * 1_024, name).toString('base64');
    const email = { from: 'a@example.com', to: `${name}@example.org`, subject: name, text: name, ...more };
    const attachments = [{ filename: 'a.bin', content }];
    return (await postrider.api('POST', '/v1/emails', { ...email, attachments })).body.id;
  };
  await send('large1', 700);
  await until('the first to be held', () => held.includes('large1'));
  const waiting = await send('large2', 700);
  await send('large3', 700, { lane: 'bulk' });
  await until('the other lane to go on', () => held.includes('large3'));
  const small = await send('small', 100);
  await until('the small one to be sent', async () => {
    return (await postrider.api('GET', `/v1/emails/${small}`)).body.status === 'sent';
  });
  expect(held).not.toContain('large2');
  expect((await postrider.api('GET', `/v1/emails/${waiting}/explain`)).body).toMatchObject({ reason: 'in_hand' });
});
