/** The official resend SDK makes templates, changes, publishes and copies them, and sends emails that are made of them. */
import type { Resend } from 'resend';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { watchFetch } from '../support/conformance.ts';
import { startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { dataOf, errorOf, resendFor } from '../support/resend.ts';
import { openSmtpServer, type TestSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

watchFetch();

const opened = new AsyncDisposableStack();
let smtp: TestSmtpServer;
let resend: Resend;
beforeAll(async () => {
  const redis = opened.use(await openTestRedis());
  smtp = opened.use(await openSmtpServer());
  const env = { REDIS_URL: redis.url, SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none` };
  resend = resendFor(opened.use(await startPostrider(env)));
});
afterAll(() => opened.disposeAsync());

const order = {
  name: 'Order confirmation',
  alias: 'order-confirmation',
  from: 'Acme <orders@example.com>',
  subject: 'Thank you for {{{PRODUCT}}}',
  html: '<p>Dear {{{NAME}}}, {{{PRODUCT}}} is {{{PRICE}}}.</p>',
  replyTo: 'help@example.com',
};

it('templates are made, published, changed, listed, copied and removed', async () => {
  const { id, object } = dataOf(
    await resend.templates
      .create({
        ...order,
        variables: [
          { key: 'NAME', type: 'string', fallbackValue: 'customer' },
          { key: 'PRICE', type: 'number' },
        ],
      })
      .publish(),
  );
  expect([object, id]).toEqual(['template', expect.stringMatching(/^tp_/)]);
  expect(dataOf(await resend.templates.get(order.alias))).toMatchObject({
    ...{ object: 'template', id, name: order.name, alias: order.alias, status: 'published', subject: order.subject },
    ...{ html: order.html, from: order.from, reply_to: [order.replyTo], published_at: expect.stringMatching(/Z$/) },
    variables: [
      { key: 'NAME', type: 'string', fallback_value: 'customer' },
      { key: 'PRICE', type: 'number', fallback_value: null },
      { key: 'PRODUCT' },
    ],
    ...{ has_unpublished_versions: false, current_version_id: `${id}_1` },
  });
  expect(dataOf(await resend.templates.update(id, { subject: 'Thanks for {{{PRODUCT}}}' }))).toMatchObject({
    object,
    id,
  });
  const copy = dataOf(await resend.templates.duplicate(id).publish());
  expect(dataOf(await resend.templates.list({ limit: 2 }))).toMatchObject({
    object: 'list',
    has_more: false,
    data: [
      { id: copy.id, alias: null },
      { id, alias: order.alias, status: 'published' },
    ],
  });
  expect(dataOf(await resend.templates.remove(copy.id))).toEqual({ object: 'template', id: copy.id, deleted: true });
  expect(errorOf(await resend.templates.get(copy.id))).toMatchObject({ name: 'not_found', statusCode: 404 });
  expect(errorOf(await resend.templates.create({ name: 'x', html: '<p>{{ NAME' }))).toMatchObject({
    name: 'validation_error',
    message: expect.stringContaining('line 1, column 4'),
  });
});

it('an email of a template arrives as the letter it makes, alone and in a batch', async () => {
  const template = (PRODUCT: string) => ({ id: order.alias, variables: { PRODUCT, PRICE: 7 } });
  const { id } = dataOf(await resend.emails.send({ to: 'ada@example.org', template: template('Tea & <cups>') }));
  const batch = [{ to: 'bob@example.org', subject: 'Mine', template: template('Jam') }];
  const [second] = dataOf(await resend.batch.send(batch)).data;
  const mailOf = (wanted = '') =>
    until('the mail', () => smtp.mails.find(({ parsed }) => parsed.messageId === `<${wanted}@example.com>`)?.parsed);
  const mail = await mailOf(id);
  expect([mail.from?.text, mail.replyTo?.text, mail.subject]).toEqual([
    '"Acme" <orders@example.com>',
    'help@example.com',
    'Thanks for Tea & <cups>',
  ]);
  expect(mail.html).toContain('<p>Dear customer, Tea &amp; &lt;cups&gt; is 7.</p>');
  expect(mail.text?.trim()).toBe('Dear customer, Tea & <cups> is 7.');
  expect((await mailOf(second?.id)).subject).toBe('Mine');
  expect(errorOf(await resend.emails.send({ to: 'ada@example.org', template: { id: order.alias } })).message).toBe(
    '/template/variables/PRODUCT: is missing; /template/variables/PRICE: is missing',
  );
});
