/** The official resend SDK sends through Postrider: every field of a send arrives, a key sends once, a batch is all or what is right. */
import type { Resend } from 'resend';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { watchFetch } from '../support/conformance.ts';
import { openFileServers } from '../support/file-server.ts';
import { type Postrider, startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { dataOf, errorOf, resendFor } from '../support/resend.ts';
import { openSmtpServer, type ReceivedMail, type TestSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

watchFetch();

const report = Buffer.from('%PDF-1.7 quarterly\n'.repeat(300));

const opened = new AsyncDisposableStack();
let smtp: TestSmtpServer;
let fileUrl: string;
let postrider: Postrider;
let resend: Resend;
beforeAll(async () => {
  const redis = opened.use(await openTestRedis());
  smtp = opened.use(await openSmtpServer());
  const servers = opened.use(await openFileServers());
  fileUrl = opened.use(await servers.serve((_, response) => response.end(report))).url;
  postrider = opened.use(
    await startPostrider({
      REDIS_URL: redis.url,
      SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none`,
      ATTACHMENT_ALLOW_PRIVATE_NETWORKS: 'true',
      NODE_EXTRA_CA_CERTS: servers.certificate.file,
    }),
  );
  resend = resendFor(postrider);
});
afterAll(() => opened.disposeAsync());

const letter = { from: 'Acme <acme@example.com>', to: 'ada@example.org', subject: 'Hello', text: 'Hello, Ada' };

function mailOf(id: string): Promise<ReceivedMail> {
  return until(`mail ${id}`, () => smtp.mails.find(({ parsed }) => parsed.messageId === `<${id}@example.com>`));
}

describe('emails.send', () => {
  it('delivers every field to the next hop', async () => {
    const { id } = dataOf(
      await resend.emails.send({
        from: 'Acme <acme@example.com>',
        to: ['Ada Lovelace <ada@example.org>', 'bob@example.org'],
        cc: 'cc@example.org',
        bcc: ['hidden@example.org', 'secret@example.org'],
        replyTo: 'Help <help@example.com>',
        subject: 'Your réceipt 🧾',
        text: 'Thank you.',
        html: '<p>Thank <b>you</b>.</p>',
        headers: { 'X-Entity-Ref-ID': '42' },
        tags: [{ name: 'category', value: 'receipt' }],
      }),
    );
    const { from, to, parsed } = await mailOf(id);
    expect(from).toBe('acme@example.com');
    expect(to).toEqual([
      'ada@example.org',
      'bob@example.org',
      'cc@example.org',
      'hidden@example.org',
      'secret@example.org',
    ]);
    expect(parsed.from?.value).toEqual([{ name: 'Acme', address: 'acme@example.com' }]);
    expect([parsed.to].flat()[0]?.value).toEqual([
      { name: 'Ada Lovelace', address: 'ada@example.org' },
      { name: '', address: 'bob@example.org' },
    ]);
    expect([parsed.cc].flat()[0]?.value).toEqual([{ name: '', address: 'cc@example.org' }]);
    expect(parsed.bcc).toBeUndefined();
    expect(parsed.replyTo?.value).toEqual([{ name: 'Help', address: 'help@example.com' }]);
    expect(parsed.subject).toBe('Your réceipt 🧾');
    expect(parsed.text?.trimEnd()).toBe('Thank you.');
    expect(parsed.html).toBe('<p>Thank <b>you</b>.</p>');
    expect(parsed.headers.get('x-entity-ref-id')).toBe('42');
    expect(dataOf(await resend.emails.get(id)).tags).toEqual([{ name: 'category', value: 'receipt' }]);
  });

  it('delivers attachments however they are given, and an inline one', async () => {
    const image = Buffer.from('89504e470d0a1a0a', 'hex');
    // A view into a larger buffer: what lies around it is not part of the file.
    const part = new Uint8Array([9, 9, 1, 2, 3, 9]).subarray(2, 5);
    const { id } = dataOf(
      await resend.emails.send({
        ...letter,
        html: '<img src="cid:logo">',
        attachments: [
          { filename: 'buffer.bin', content: Buffer.from([0, 255, 13, 10, 46]) },
          { filename: 'base64.txt', content: Buffer.from('as text').toString('base64') },
          { filename: 'array.bin', content: part, contentType: 'application/x-part' },
          { filename: 'logo.png', content: image, contentId: 'logo' },
          { filename: 'report.pdf', path: fileUrl },
          { path: fileUrl },
        ],
      }),
    );
    const { parsed } = await mailOf(id);
    const shown = parsed.attachments.map(({ filename, contentType, contentDisposition, cid, content }) => ({
      filename,
      contentType,
      contentDisposition,
      cid,
      content: content.toString('latin1'),
    }));
    const file = { contentDisposition: 'attachment', cid: undefined };
    const pdf = { ...file, contentType: 'application/pdf', content: report.toString('latin1') };
    expect(shown.toSorted((a, b) => String(a.filename).localeCompare(String(b.filename)))).toEqual([
      { ...file, filename: 'array.bin', contentType: 'application/x-part', content: '\x01\x02\x03' },
      { ...file, filename: 'base64.txt', contentType: 'text/plain', content: 'as text' },
      { ...file, filename: 'buffer.bin', contentType: 'application/octet-stream', content: '\0\xff\r\n.' },
      // Without a filename it is the last part of the URL.
      { ...pdf, filename: 'file.pdf' },
      {
        filename: 'logo.png',
        contentType: 'image/png',
        contentDisposition: 'inline',
        cid: 'logo',
        content: image.toString('latin1'),
      },
      { ...pdf, filename: 'report.pdf' },
    ]);
  });

  it('sends once under one key, and refuses another email under it', async () => {
    const first = await resend.emails.send(letter, { idempotencyKey: 'welcome/1' });
    expect(first.headers?.['idempotent-replayed']).toBeUndefined();
    const again = await resend.emails.send(letter, { idempotencyKey: 'welcome/1' });
    expect(dataOf(again).id).toBe(dataOf(first).id);
    expect(again.headers?.['idempotent-replayed']).toBe('true');
    expect(
      errorOf(await resend.emails.send({ ...letter, subject: 'Other' }, { idempotencyKey: 'welcome/1' })),
    ).toMatchObject({ name: 'invalid_idempotent_request', statusCode: 422, message: expect.any(String) });
    await mailOf(dataOf(first).id);
    // What is sent later is not there before what was sent earlier, in one lane with one sender.
    await mailOf(dataOf(await resend.emails.send(letter)).id);
    expect(smtp.mails.filter(({ parsed }) => parsed.subject === 'Other')).toEqual([]);
  });
});

describe('batch.send', () => {
  const right = (n: number) => ({ ...letter, subject: `Batch ${n}` });
  const wrong = { ...letter, to: 'nobody' };

  it('is all or nothing by default', async () => {
    const batch = dataOf(await resend.batch.send([right(1), right(2), right(3)]));
    expect(batch).toEqual({ data: [1, 2, 3].map(() => ({ id: expect.stringMatching(/^em_/) })) });
    const subjects = await Promise.all(batch.data.map(async ({ id }) => (await mailOf(id)).parsed.subject));
    expect(subjects).toEqual(['Batch 1', 'Batch 2', 'Batch 3']);

    const before = dataOf(await resend.emails.list({ limit: 1 })).data[0]?.id;
    expect(errorOf(await resend.batch.send([right(4), wrong]))).toMatchObject({
      name: 'validation_error',
      statusCode: 422,
      message: '/1/to: is not an address: expected local-part@domain',
    });
    expect(dataOf(await resend.emails.list({ limit: 1 })).data[0]?.id).toBe(before);
  });

  it('accepts valid emails and reports invalid ones, when it is permissive', async () => {
    const { data, errors } = dataOf(
      await resend.batch.send([right(1), wrong, right(2)], { batchValidation: 'permissive' }),
    );
    expect(data).toEqual([{ id: expect.any(String) }, { id: expect.any(String) }]);
    expect(errors).toEqual([{ index: 1, message: '/1/to: is not an address: expected local-part@domain' }]);
    const subjects = await Promise.all(data.map(async ({ id }) => (await mailOf(id)).parsed.subject));
    expect(subjects).toEqual(['Batch 1', 'Batch 2']);

    const whole = dataOf(await resend.batch.send([right(3)], { batchValidation: 'permissive' }));
    expect(whole.errors).toEqual([]);
  });

  it('sends once under one key, in either way', async () => {
    for (const batchValidation of ['strict', 'permissive'] as const) {
      const options = { idempotencyKey: `team/${batchValidation}`, batchValidation };
      const first = await resend.batch.send([right(1), right(2)], options);
      const again = await resend.batch.send([right(1), right(2)], options);
      expect(dataOf(again)).toEqual(dataOf(first));
      expect(again.headers?.['idempotent-replayed']).toBe('true');
      expect(errorOf(await resend.batch.send([right(3), right(2)], options))).toMatchObject({
        name: 'invalid_idempotent_request',
        statusCode: 422,
      });
    }
  });
});
