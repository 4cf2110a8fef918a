/** Machines whose clocks are wrong: the fleet goes by that of Redis. */
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { type Postrider, startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { openSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const otherClock = ['--import', fileURLToPath(new URL('../support/other-clock.ts', import.meta.url))];
const day = 86_400_000;

async function send({ api }: Postrider, to: string, more: object = {}): Promise<string> {
  const email = { from: 'shop@example.com', to, subject: 'Hi', text: 'Hello', ...more };
  const { status, body } = await api('POST', '/v1/emails', email);
  expect(status).toBe(202);
  return body.id;
}

it('an API ahead by 20 s delays nothing, and a worker ahead by 8 days removes nothing and sends nothing early', async () => {
  await using redis = await openTestRedis();
  await using smtp = await openSmtpServer();
  const recipients = () => smtp.mails.map(({ to }) => to[0]);
  const env = { REDIS_URL: redis.url, SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none` };
  await using ahead = await startPostrider({ ...env, ROLES: 'api', CLOCK_AHEAD: '20000' }, otherClock);
  const right = await startPostrider(env);
  await using _right = right;

  const first = await send(ahead, 'first@example.org');
  const [seconds] = await redis.tell((client) => client.time());
  const { created_at } = (await right.api('GET', `/v1/emails/${first}`)).body;
  // From then on it is due.
  expect(Math.floor(Date.parse(created_at) / 1_000)).toBeLessThanOrEqual(Number(seconds));
  await until('it to arrive', () => recipients().length === 1);

  const scheduledAt = new Date(Date.now() + 3 * day).toISOString();
  const later = await send(ahead, 'later@example.org', { scheduled_at: scheduledAt });
  const env8 = { ...env, ROLES: 'worker', CLOCK_AHEAD: String(8 * day), HEALTH_PORT: '0' };
  await using wrong = await startPostrider(env8, otherClock);
  right.kill('SIGTERM');
  await right.ended;
  // Whatever it would have taken or removed at its first look is done by then.
  const second = await send(ahead, 'second@example.org');
  await until(
    'the second to be sent',
    async () => (await ahead.api('GET', `/v1/emails/${second}`)).body.status === 'sent',
  );
  expect(recipients()).toEqual(['first@example.org', 'second@example.org']);
  expect(await ahead.api('GET', `/v1/emails/${first}`)).toMatchObject({
    status: 200,
    body: { last_event: 'sent', text: 'Hello' },
  });
  expect((await ahead.api('GET', `/v1/emails/${later}`)).body).toMatchObject({ last_event: 'scheduled' });

  const said = /"difference_ms":(\d+),"msg":"the clock of this machine differs from that of Redis/;
  expect(
    [said.exec(wrong.output())?.[1], said.exec(ahead.output())?.[1]].map((ms) => Math.round(Number(ms) / 1e3)),
  ).toEqual([(8 * day) / 1e3, 20]);
  expect(await (await fetch(`${ahead.url}/metrics`)).text()).toMatch(
    /^postrider_clock_difference_seconds (?:20|19\.9)/m,
  );
});

it('a clock that is put back by ten minutes has nothing wait for as long', async () => {
  await using redis = await openTestRedis();
  let isBusy = true;
  const onRecipient = () => (isBusy ? '451 4.3.0 Not now' : undefined);
  await using smtp = await openSmtpServer({ onRecipient });
  const env = { REDIS_URL: redis.url, SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none`, CLOCK_STEP: '600000' };
  await using postrider = await startPostrider(env, otherClock);
  const id = await send(postrider, 'busy@example.org');
  const isDeferred = async () => (await postrider.api('GET', `/v1/emails/${id}`)).body.status === 'deferred';
  await until('it to be deferred', isDeferred);
  postrider.kill('SIGUSR2');
  await postrider.printed(/the clock was put back/);
  isBusy = false;
  await until('it to be sent', () => smtp.mails.length === 1);
});
