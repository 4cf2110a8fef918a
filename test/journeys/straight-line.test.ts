/** The whole line over real parts: one POST becomes one email at a real SMTP server and one signed webhook. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Certificate, makeCertificate } from '../support/certificate.ts';
import { startPostrider, testApiKey } from '../support/postrider.ts';
import { openReceiver } from '../support/receiver.ts';
import { openTestRedis, type TestRedis } from '../support/redis.ts';
import { openSmtpServer, smtpUser } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let redis: TestRedis;
let certificate: Certificate;
beforeAll(async () => {
  redis = opened.use(await openTestRedis());
  certificate = opened.use(await makeCertificate());
});
afterAll(() => opened.disposeAsync());

const credentials = `${encodeURIComponent(smtpUser.user)}:${encodeURIComponent(smtpUser.pass)}`;

const letter = {
  from: 'Åsa Öberg <asa@example.com>',
  to: ['"Grace, Hopper" <grace@example.org>', { email: 'linus@exämple.org', name: 'Лінус' }],
  cc: 'cc@example.org',
  bcc: ['hidden@example.org'],
  reply_to: 'Réponse <reply@example.com>',
  subject:
    'Grüße 👋 aus der Stadt, die niemals schläft und sehr lange Betreffzeilen schätzt, weil sie gefaltet werden müssen',
  text: 'Hallo!\n.\nEine Zeile mit einem Punkt davor.\n..\nZwei Punkte. 😀',
  html: '<p>Hallo <b>Wörld</b></p>',
  headers: { 'X-Campaign': 'Früh ling', 'List-Unsubscribe': '<https://example.com/u/1>' },
  tags: [{ name: 'kind', value: 'greeting' }],
  attachments: [
    {
      filename: 'logo.png',
      content: Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 1, 2, 255]).toString('base64'),
      content_type: 'image/png',
      content_id: 'logo@x',
    },
    { filename: 'Übersicht – 2026.txt', content: Buffer.from('zeile\n'.repeat(2_000)).toString('base64') },
  ],
};

describe.each([
  {
    name: 'implicit TLS and AUTH PLAIN',
    implicitTls: true,
    methods: ['PLAIN'],
    url: (port: number) => `smtps://${credentials}@localhost:${port}`,
  },
  {
    name: 'STARTTLS and AUTH LOGIN',
    implicitTls: false,
    methods: ['LOGIN'],
    url: (port: number) => `smtp://${credentials}@localhost:${port}`,
  },
])('the straight line over $name', ({ implicitTls, methods, url }) => {
  it('delivers exactly what was posted, once, and reports it in a signed webhook', async () => {
    await using smtp = await openSmtpServer({}, { tls: certificate, implicitTls, methods });
    await using receiver = await openReceiver();
    await using postrider = await startPostrider({
      REDIS_URL: redis.url,
      SMTP_URL: url(smtp.port),
      NODE_EXTRA_CA_CERTS: certificate.file,
      WEBHOOK_ALLOW_PRIVATE_NETWORKS: 'true',
    });
    const { api } = postrider;
    const webhook = await api('POST', '/v1/webhooks', {
      endpoint: receiver.url,
      events: ['email.queued', 'email.sent'],
    });
    expect(webhook.status).toBe(201);

    const accepted = await api('POST', '/v1/emails', letter);
    expect(accepted).toMatchObject({ status: 202, body: { object: 'email', status: 'queued' } });
    const { id } = accepted.body;
    const [mail] = await until('the mail to arrive', () => smtp.mails.length > 0 && smtp.mails);

    expect(mail).toMatchObject({ isSecure: true, user: smtpUser.user, from: 'asa@example.com' });
    // The server shows domains as people read them; on the wire they are A-labels, as the raw message has them below.
    expect(mail?.to).toEqual(['grace@example.org', 'linus@exämple.org', 'cc@example.org', 'hidden@example.org']);
    expect(mail?.raw.toString()).toContain('<linus@xn--exmple-cua.org>');
    const { parsed } = mail ?? {};
    expect(parsed?.from?.value).toEqual([{ address: 'asa@example.com', name: 'Åsa Öberg' }]);
    expect([parsed?.to].flat()[0]?.value).toEqual([
      { address: 'grace@example.org', name: 'Grace, Hopper' },
      { address: 'linus@exämple.org', name: 'Лінус' },
    ]);
    expect([parsed?.cc].flat()[0]?.value).toEqual([{ address: 'cc@example.org', name: '' }]);
    expect(parsed?.bcc).toBeUndefined();
    expect(mail?.raw.toString()).not.toContain('hidden@example.org');
    expect(parsed?.replyTo?.value).toEqual([{ address: 'reply@example.com', name: 'Réponse' }]);
    expect(parsed?.subject).toBe(letter.subject);
    expect(parsed?.text?.trimEnd()).toBe(letter.text);
    expect(parsed?.html).toBe(letter.html);
    // The parser leaves headers it does not know undecoded.
    expect(parsed?.headers.get('x-campaign')).toBe('=?UTF-8?Q?Fr=C3=BCh_ling?=');
    expect(parsed?.headers.get('list')).toMatchObject({ unsubscribe: { url: 'https://example.com/u/1' } });
    expect(parsed?.messageId).toBe(`<${id}@example.com>`);
    expect(
      parsed?.attachments.map(({ filename, contentType, contentDisposition, cid }) => ({
        filename,
        contentType,
        contentDisposition,
        cid,
      })),
    ).toEqual([
      { filename: 'logo.png', contentType: 'image/png', contentDisposition: 'inline', cid: 'logo@x' },
      { filename: 'Übersicht – 2026.txt', contentType: 'text/plain', contentDisposition: 'attachment', cid: undefined },
    ]);
    expect(parsed?.attachments.map(({ content }) => content.toString('base64'))).toEqual(
      letter.attachments.map(({ content }) => content),
    );

    const email = await until('the email to be sent', async () => {
      const { body } = await api('GET', `/v1/emails/${id}`);
      return body.status === 'sent' && body;
    });
    expect(email).toMatchObject({
      last_event: 'sent',
      attempts: 1,
      subject: letter.subject,
      html: letter.html,
      text: letter.text,
      tags: letter.tags,
    });
    expect(
      email.recipients.map(({ email: address, kind, status, smtp: reply, transport }) => ({
        address,
        kind,
        status,
        reply: reply?.reply,
        code: reply?.code,
        transport,
      })),
    ).toEqual(
      [
        ['grace@example.org', 'to'],
        ['linus@xn--exmple-cua.org', 'to'],
        ['cc@example.org', 'cc'],
        ['hidden@example.org', 'bcc'],
      ].map(([address, kind]) => ({
        address,
        kind,
        status: 'sent',
        reply: '250 2.0.0 Ok: queued as TEST',
        code: 250,
        transport: 'default',
      })),
    );

    const events = await until(
      'both webhooks',
      () => receiver.hooks.length >= 2 && receiver.eventsOf(id, webhook.body.signing_secret),
    );
    const sent = events.find(({ type }) => type === 'email.sent');
    expect(events.map(({ type }) => type).toSorted()).toEqual(['email.queued', 'email.sent']);
    expect(sent).toMatchObject({
      created_at: sent?.timestamp,
      data: {
        email_id: id,
        sequence: 2,
        attempt: 1,
        subject: letter.subject,
        tags: { kind: 'greeting' },
        transport: 'default',
        smtp: { code: 250, enhanced: '2.0.0' },
      },
    });
    expect(sent?.data.to).toEqual([
      'grace@example.org',
      'linus@xn--exmple-cua.org',
      'cc@example.org',
      'hidden@example.org',
    ]);
    expect(new Set(receiver.hooks.map(({ headers }) => headers['webhook-id'])).size).toBe(2);
    expect(smtp.mails).toHaveLength(1);
    const logged = postrider
      .output()
      .split('\n')
      .filter((line) => /\b(?:INFO|WARN|ERROR)\b/.test(line))
      .join('\n');
    expect(postrider.output()).not.toContain(testApiKey);
    for (const secret of ['grace@', 'hidden@', 'Grüße', 'Hallo', smtpUser.pass, webhook.body.signing_secret]) {
      expect(logged).not.toContain(secret);
    }

    postrider.kill('SIGTERM');
    expect(await postrider.ended).toBe(0);
  });
});
