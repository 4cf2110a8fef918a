/** What the next hop says decides each recipient's fate: bounced, deferred and tried again, sent; and trouble of the transport burns nothing. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Certificate, makeCertificate } from '../support/certificate.ts';
import { type Postrider, startPostrider } from '../support/postrider.ts';
import { openReceiver, type Receiver } from '../support/receiver.ts';
import { openTestRedis, type TestRedis } from '../support/redis.ts';
import { openSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let redis: TestRedis;
let certificate: Certificate;
beforeAll(async () => {
  redis = opened.use(await openTestRedis());
  certificate = opened.use(await makeCertificate());
});
afterAll(() => opened.disposeAsync());

const email = { from: 'a@example.com', to: ['good@example.org'], subject: 'Outcome', text: 'Hello' };

async function send(postrider: Postrider, body: object): Promise<string> {
  const { status, body: accepted } = await postrider.api('POST', '/v1/emails', { ...email, ...body });
  expect(status).toBe(202);
  return accepted.id;
}

function settled(postrider: Postrider, id: string, status: string) {
  const look = async () => (await postrider.api('GET', `/v1/emails/${id}`)).body;
  return until(
    `${id} to be ${status}`,
    async () => {
      const body = await look();
      return body.status === status && body;
    },
    look,
  );
}

async function subscribe(postrider: Postrider, receiver: Receiver): Promise<string> {
  const events = ['email.sent', 'email.bounced', 'email.delivery_delayed', 'email.failed'];
  return (await postrider.api('POST', '/v1/webhooks', { endpoint: receiver.url, events })).body.signing_secret;
}

it('each recipient is settled by its own reply, and only the deferred one is tried again', async () => {
  let tries = 0;
  await using smtp = await openSmtpServer({
    onRecipient(address) {
      if (address === 'gone@example.org') return '550 5.1.1 No such user here';
      if (address === 'slow@example.org') return ++tries <= 2 ? '450 4.2.0 Greylisted' : undefined;
      return undefined;
    },
  });
  await using receiver = await openReceiver();
  await using postrider = await startPostrider({
    REDIS_URL: redis.url,
    SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none`,
    WEBHOOK_ALLOW_PRIVATE_NETWORKS: 'true',
  });
  const secret = await subscribe(postrider, receiver);
  const id = await send(postrider, { to: ['good@example.org', 'gone@example.org'], cc: 'slow@example.org' });
  const { recipients } = await settled(postrider, id, 'bounced');

  expect(recipients).toMatchObject([
    { email: 'good@example.org', status: 'sent', attempts: 1, smtp: { code: 250 } },
    {
      email: 'gone@example.org',
      status: 'bounced',
      attempts: 1,
      smtp: { code: 550, enhanced: '5.1.1', reply: '550 5.1.1 No such user here' },
    },
    { email: 'slow@example.org', status: 'sent', attempts: 3, smtp: { code: 250 } },
  ]);
  expect(smtp.mails.map(({ to }) => to)).toEqual([['good@example.org'], ['slow@example.org']]);
  const events = await until('four webhooks', () => {
    const got = receiver.eventsOf(id, secret).toSorted((a, b) => a.data.sequence - b.data.sequence);
    return got.length >= 4 && got;
  });
  expect(events.map(({ type, data }) => [type, data.to.join()]).toSorted()).toEqual([
    ['email.bounced', 'gone@example.org'],
    // The first deferral is told, the second one with the same cause is not.
    ['email.delivery_delayed', 'slow@example.org'],
    ['email.sent', 'good@example.org'],
    ['email.sent', 'slow@example.org'],
  ]);
});

it('a message refused after the final dot bounces with that reply', async () => {
  await using smtp = await openSmtpServer({ onMessage: () => '554 5.7.1 Spam, we think' });
  await using postrider = await startPostrider({
    REDIS_URL: redis.url,
    SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none`,
  });
  const id = await send(postrider, {});
  expect((await settled(postrider, id, 'bounced')).recipients[0]?.smtp).toEqual({
    code: 554,
    enhanced: '5.7.1',
    reply: '554 5.7.1 Spam, we think',
  });
});

it('mail that is still deferred at its age limit fails, and says with which reply', async () => {
  await using smtp = await openSmtpServer({ onRecipient: () => '451 4.3.0 Not now' });
  await using postrider = await startPostrider({
    REDIS_URL: redis.url,
    SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none`,
    RETRY_MAX_AGE: '700ms',
  });
  const id = await send(postrider, {});
  expect((await settled(postrider, id, 'failed')).recipients[0]).toMatchObject({
    smtp: { code: 451 },
    reason: 'not delivered within its age limit',
  });
});

it('a server without STARTTLS gets no password and no mail, and no attempt is burnt', async () => {
  await using smtp = await openSmtpServer();
  await using postrider = await startPostrider({
    REDIS_URL: redis.url,
    SMTP_URL: `smtp://user:pass@127.0.0.1:${smtp.port}`,
  });
  const id = await send(postrider, {});
  const reason = await until(
    'the reason to be readable',
    async () => (await postrider.api('GET', `/v1/emails/${id}`)).body.recipients[0]?.reason ?? undefined,
  );
  expect(reason).toMatch(/STARTTLS|TLS/);
  expect((await settled(postrider, id, 'queued')).recipients[0]).toMatchObject({ attempts: 0 });
  expect(smtp.mails).toEqual([]);
});

it('a certificate nobody vouches for is refused, unless tls_verify=false says otherwise', async () => {
  await using smtp = await openSmtpServer({}, { tls: certificate, implicitTls: true, methods: ['PLAIN'] });
  const url = `smtps://${encodeURIComponent('postmän')}:${encodeURIComponent('p@ss:w/rd')}@localhost:${smtp.port}`;
  await using own = await openTestRedis();
  {
    await using strict = await startPostrider({ REDIS_URL: own.url, SMTP_URL: url });
    const id = await send(strict, {});
    await until('the certificate to be refused', async () =>
      /self-signed|certificate/i.test((await strict.api('GET', `/v1/emails/${id}`)).body.recipients[0]?.reason ?? ''),
    );
  }
  expect(smtp.mails).toEqual([]);
  await using lax = await startPostrider({ REDIS_URL: own.url, SMTP_URL: `${url}?tls_verify=false` });
  await settled(lax, await send(lax, {}), 'sent');
});

it('a wrong password is the transport at fault: the mail waits, whole, and says why', async () => {
  await using smtp = await openSmtpServer({}, { tls: certificate, implicitTls: true, methods: ['LOGIN'] });
  // Of its own: a transport that others left in trouble would not be tried.
  await using own = await openTestRedis();
  await using postrider = await startPostrider({
    REDIS_URL: own.url,
    SMTP_URL: `smtps://user:wrong@localhost:${smtp.port}`,
    NODE_EXTRA_CA_CERTS: certificate.file,
  });
  const id = await send(postrider, {});
  const recipient = await until('the reason to be readable', async () => {
    const [found] = (await postrider.api('GET', `/v1/emails/${id}`)).body.recipients;
    return found?.reason ? found : undefined;
  });
  expect(recipient).toMatchObject({ status: 'queued', attempts: 0, reason: expect.stringContaining('535') });
  expect(postrider.output()).not.toContain('wrong');
});
