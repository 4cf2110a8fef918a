/** What the next hop says decides each recipient's fate: bounced, deferred and tried again, sent; and trouble of the transport burns nothing. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeCertificate } from '../support/certificate.ts';
import { openReceiver, type Receiver } from '../support/receiver.ts';
import { openSmtpServer, type TestSmtpServer } from '../support/smtp-server.ts';
import { openWorld, transportAt, type World } from '../support/transports-world.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let mixed: TestSmtpServer;
let plain: TestSmtpServer;
let secure: TestSmtpServer;
let receiver: Receiver;
let secret: string;
let world: World;
let worker: Awaited<ReturnType<World['startWorker']>>;
/** How often the slow one was asked for. */
let tries = 0;
/** How often the patient one was. */
let asked = 0;
beforeAll(async () => {
  mixed = opened.use(
    await openSmtpServer({
      onRecipient(address) {
        if (address === 'gone@example.org') return '550 5.1.1 No such user here';
        if (address === 'patient@example.org' && ++asked > 0)
          return '451 4.7.1 Greylisted, please try again in 3600 seconds';
        if (address === 'slow@example.org') return ++tries <= 2 ? '450 4.2.0 Greylisted' : undefined;
        return undefined;
      },
    }),
  );
  const certificate = opened.use(await makeCertificate());
  const withTls = { tls: certificate, implicitTls: true };
  plain = opened.use(await openSmtpServer());
  secure = opened.use(await openSmtpServer({}, { ...withTls, methods: ['PLAIN'] }));
  const refusing = opened.use(await openSmtpServer({}, { ...withTls, methods: ['LOGIN'] }));
  const suspicious = opened.use(await openSmtpServer({ onMessage: () => '554 5.7.1 Spam, we think' }));
  const busy = opened.use(await openSmtpServer({ onRecipient: () => '451 4.3.0 Not now' }));
  const url = `smtps://${encodeURIComponent('postmän')}:${encodeURIComponent('p@ss:w/rd')}@localhost:${secure.port}`;
  const transports = {
    mixed: transportAt(mixed.port),
    suspicious: transportAt(suspicious.port),
    busy: transportAt(busy.port),
    plain: { url: `smtp://user:pass@127.0.0.1:${plain.port}` },
    strict: { url },
    lax: { url: `${url}?tls_verify=false` },
    refusing: { url: `smtps://user:wrong@localhost:${refusing.port}`, tls: { ca_file: certificate.file } },
  };
  const alone = Object.keys(transports).map((name) => [name, { failover: [name] }]);
  const routes = { default: { failover: ['mixed'] }, ...Object.fromEntries(alone) };
  const more = { WEBHOOK_ALLOW_PRIVATE_NETWORKS: 'true', RETRY_MAX_AGE_BULK: '700ms' };
  world = opened.use(await openWorld({ transports, routes }, more));
  receiver = opened.use(await openReceiver());
  const events = ['email.sent', 'email.bounced', 'email.delivery_delayed', 'email.failed'];
  secret = (await world.api.api('POST', '/v1/webhooks', { endpoint: receiver.url, events })).body.signing_secret;
  worker = await world.startWorker();
});
afterAll(() => opened.disposeAsync());

/** Waits until the only recipient says why it is not out. */
function reasonOf(id: string) {
  return until('the reason to be readable', async () => {
    const [recipient] = (await world.read(id)).recipients;
    return recipient?.reason ? recipient : undefined;
  });
}

it('each recipient is settled by its own reply, and only the deferred one is tried again', async () => {
  tries = 0;
  const id = await world.send({ to: ['good@example.org', 'gone@example.org'], cc: 'slow@example.org' });
  const { recipients } = await world.becomes(id, 'bounced');

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
  expect(mixed.mails.map(({ to }) => to)).toEqual([['good@example.org'], ['slow@example.org']]);
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

it('a wait that a reply names is kept, however often others of the same email are tried meanwhile', async () => {
  tries = 0;
  const id = await world.send({ to: 'patient@example.org', cc: 'slow@example.org' });
  await until('the other to be sent', async () => {
    const [, other] = (await world.read(id)).recipients;
    return other?.status === 'sent' && other.attempts === 3;
  });
  const [patient] = (await world.read(id)).recipients;
  expect(patient).toMatchObject({ status: 'deferred', attempts: 1, smtp: { code: 451 } });
  expect(asked).toBe(1);
});

it('a message refused after the final dot bounces with that reply', async () => {
  const id = await world.send({ route: 'suspicious' });
  expect((await world.becomes(id, 'bounced')).recipients[0]?.smtp).toEqual({
    code: 554,
    enhanced: '5.7.1',
    reply: '554 5.7.1 Spam, we think',
  });
});

it('mail that is still deferred at its age limit fails, and says with which reply', async () => {
  const id = await world.send({ route: 'busy', lane: 'bulk' });
  expect((await world.becomes(id, 'failed')).recipients[0]).toMatchObject({
    smtp: { code: 451 },
    reason: 'not delivered within its age limit',
  });
});

it('a server without STARTTLS gets no password and no mail, and no attempt is used', async () => {
  const id = await world.send({ route: 'plain' });
  expect((await reasonOf(id)).reason).toMatch(/STARTTLS|TLS/);
  expect((await world.becomes(id, 'queued')).recipients[0]).toMatchObject({ attempts: 0 });
  expect(plain.mails).toEqual([]);
});

it('an untrusted certificate is refused, unless tls_verify=false says otherwise', async () => {
  const id = await world.send({ route: 'strict' });
  expect((await reasonOf(id)).reason).toMatch(/self-signed|certificate/i);
  expect(secure.mails).toEqual([]);
  await world.becomes(await world.send({ route: 'lax' }), 'sent');
  expect(secure.mails).toHaveLength(1);
});

it('a wrong password is the transport at fault: the mail waits, whole, and says why', async () => {
  const recipient = await reasonOf(await world.send({ route: 'refusing' }));
  expect(recipient).toMatchObject({ status: 'queued', attempts: 0, reason: expect.stringContaining('535') });
  expect(worker.output() + world.api.output()).not.toContain('wrong');
});
