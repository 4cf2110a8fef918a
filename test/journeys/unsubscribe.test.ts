/** From a bulk email to the page of its link and back: what its reader, a mailbox provider and a link scanner do, and what comes of it. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openBrowser } from '../support/browser.ts';
import { type Body, type Postrider, startPostrider } from '../support/postrider.ts';
import { openReceiver, type Receiver } from '../support/receiver.ts';
import { openTestRedis, type TestRedis } from '../support/redis.ts';
import { openSmtpServer, type TestSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let redis: TestRedis;
let smtp: TestSmtpServer;
let receiver: Receiver;
let postrider: Postrider;
let secret: string;
beforeAll(async () => {
  redis = opened.use(await openTestRedis());
  smtp = opened.use(await openSmtpServer());
  receiver = opened.use(await openReceiver());
  postrider = opened.use(
    await startPostrider({
      REDIS_URL: redis.url,
      SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none`,
      WEBHOOK_ALLOW_PRIVATE_NETWORKS: 'true',
      PUBLIC_URL: 'https://mail.shop.example/post/',
    }),
  );
  const hook = { endpoint: receiver.url, events: ['email.unsubscribed'] };
  secret = (await postrider.api('POST', '/v1/webhooks', hook)).body.signing_secret;
});
afterAll(() => opened.disposeAsync());

/** Sends one, and waits until it was sent. */
async function send(given: object): Promise<string> {
  const email = { from: 'news@shop.example', subject: 'News', lane: 'bulk', text: 'Hello', ...given };
  const { body } = await postrider.api('POST', '/v1/emails', email);
  await becomes(body.id, 'sent');
  return body.id;
}

function becomes(id: string, status: string): Promise<Body> {
  return until(`${id} to be ${status}`, async () => {
    const { body } = await postrider.api('GET', `/v1/emails/${id}`);
    return body.status === status && body;
  });
}

function mailOf(id: string) {
  const mail = smtp.mails.find(({ raw }) => raw.includes(`<${id}@`));
  if (mail === undefined) throw new Error(`${id} did not arrive`);
  return mail;
}

/** Where the link in a header of the email leads, as seen from here. */
function linkOf(id: string): string {
  const url = /<(https:[^>]+)>/.exec(headerOf(id, 'list-unsubscribe') ?? '')?.[1] ?? '';
  expect(url).toMatch(/^https:\/\/mail\.shop\.example\/post\/u\//);
  return url.replace('https://mail.shop.example/post', postrider.url);
}

const headerOf = (id: string, name: string) =>
  mailOf(id)
    .parsed.headerLines.find(({ key }) => key === name)
    ?.line.replace(/\r\n\s/g, ' ');

const suppressed = async (address: string) =>
  ((await postrider.api('GET', `/v1/suppressions/${address}`)).body.data ?? []) as readonly unknown[];

it('bulk mail to one reader has a link of its own in its headers and in its letter, which each attempt has the same', async () => {
  const letter = { html: '<a href="{{unsubscribe_url}}">Stop</a>', text: 'Stop: {{ unsubscribe_url }}' };
  const id = await send({ to: 'ada@example.org', ...letter });
  const { parsed } = mailOf(id);
  const url = linkOf(id).replace(postrider.url, 'https://mail.shop.example/post');
  expect(parsed.text).toContain(`Stop: ${url}`);
  expect(parsed.html).toContain(`<a href="${url}">`);
  expect(headerOf(id, 'list-unsubscribe-post')).toBe('List-Unsubscribe-Post: List-Unsubscribe=One-Click');
  expect(headerOf(id, 'precedence')).toBe('Precedence: bulk');
  expect(headerOf(id, 'feedback-id')).toMatch(/^Feedback-ID: bulk:[\w.-]+$/);
  expect(url).not.toContain('ada');
});

it('a template has the link with filters as well, in its subject, its html and its text', async () => {
  const source = '{{ unsubscribe_url | url_encode }}';
  const template = { name: 'Filtered', subject: source, html: `<a href="https://t.example/?to=${source}">x</a>` };
  const { id: templateId } = (await postrider.api('POST', '/v1/templates', template)).body;
  const id = await send({ to: 'ada@example.org', subject: undefined, text: undefined, template: { id: templateId } });
  const url = linkOf(id).replace(postrider.url, 'https://mail.shop.example/post');
  const { parsed } = mailOf(id);
  expect(parsed.subject).toBe(url);
  expect(parsed.html).toContain(`?to=${url}"`);
  expect(parsed.text).toContain(`?to=${url}]`);
});

it('other mail has none, and a header of the caller is kept', async () => {
  const code = await send({ to: 'ada@example.org', lane: 'transactional', text: '{{unsubscribe_url}}' });
  expect(headerOf(code, 'list-unsubscribe')).toBe(undefined);
  expect(mailOf(code).parsed.text).toContain('{{unsubscribe_url}}');
  const several = await send({ to: ['ada@example.org', 'bob@example.org'] });
  expect(headerOf(several, 'list-unsubscribe')).toBe(undefined);
  expect(headerOf(several, 'precedence')).toBe('Precedence: bulk');
  expect(headerOf(several, 'feedback-id')).toMatch(/^Feedback-ID: bulk:[\w.-]+$/);
  expect(headerOf(code, 'precedence') ?? headerOf(code, 'feedback-id')).toBe(undefined);
  const own = await send({ to: 'ada@example.org', headers: { 'list-unsubscribe': '<mailto:stop@shop.example>' } });
  expect(headerOf(own, 'list-unsubscribe')).toBe('list-unsubscribe: <mailto:stop@shop.example>');
  expect(headerOf(own, 'list-unsubscribe-post')).toBe(undefined);
  const others = await send({ to: 'ada@example.org', headers: { precedence: 'list', 'feedback-id': 'spring' } });
  const { headerLines } = mailOf(others).parsed;
  const named = headerLines.filter(({ key }) => key === 'precedence' || key === 'feedback-id');
  expect(named.map(({ line }) => line)).toEqual(['precedence: list', 'feedback-id: spring']);
});

it('looking at the page changes nothing, however it is looked at', async () => {
  const id = await send({ to: 'scanned@example.org' });
  for (const method of ['GET', 'HEAD']) {
    const page = await fetch(linkOf(id), { method });
    expect([page.status, page.headers.get('cache-control')]).toEqual([200, 'no-store']);
    if (method === 'GET') expect(await page.text()).toContain('s***@example.org');
  }
  expect(await suppressed('scanned@example.org')).toEqual([]);
});

it.each([
  ['json', 'application/json', 'List-Unsubscribe=One-Click'],
  ['csv', 'text/csv', 'One-Click'],
  ['no type', 'none', 'One-Click'],
  ['no type and no body', 'none', ''],
  ['large json', 'application/json', 'x'.repeat(300_000)],
  ['packed', 'application/json', 'x', { 'content-encoding': 'br' }],
] as [string, string, string, Record<string, string>?][])(
  'one click does not depend on what is sent along: %s',
  async (kind, type, body, more = {}) => {
    const address = `${kind.replaceAll(' ', '-')}@example.org`;
    const link = linkOf(await send({ to: address }));
    const headers = { 'content-type': type, ...more };
    expect((await fetch(link, { method: 'POST', headers, body, redirect: 'manual' })).status).toBe(200);
    expect(await suppressed(address)).toMatchObject([{ scope: 'bulk', reason: 'unsubscribe' }]);
  },
);

it.each([
  ['urlencoded', 'application/x-www-form-urlencoded', 'List-Unsubscribe=One-Click'],
  [
    'multipart',
    'multipart/form-data; boundary=b',
    '--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n',
  ],
])(
  'one click of a mailbox provider is enough, %s: bulk mail ends, codes go on, and one event reports it',
  async (kind, type, body) => {
    const address = `${kind}@example.org`;
    const id = await send({ to: address, tags: [{ name: 'list', value: 'news' }] });
    for (let click = 0; click < 2; click++) {
      const answer = await fetch(linkOf(id), {
        method: 'POST',
        headers: { 'content-type': type },
        body,
        redirect: 'manual',
      });
      expect([answer.status, answer.headers.get('set-cookie')]).toEqual([200, null]);
    }
    expect(await suppressed(address)).toMatchObject([{ scope: 'bulk', reason: 'unsubscribe', email_id: id }]);
    const next = await postrider.api('POST', '/v1/emails', {
      from: 'news@shop.example',
      to: address,
      subject: 's',
      text: 't',
      lane: 'bulk',
    });
    await becomes(next.body.id, 'suppressed');
    await send({ to: address, lane: 'transactional' });
    const events = await until(
      'the event',
      () => receiver.eventsOf(id, secret).length > 0 && receiver.eventsOf(id, secret),
    );
    expect(events).toMatchObject([
      { type: 'email.unsubscribed', data: { to: [address], tags: { list: 'news' }, sequence: 3 } },
    ]);
    const { body: shown } = await postrider.api('GET', `/v1/emails/${id}`);
    expect(shown).toMatchObject({ status: 'sent', last_event: 'unsubscribed' });
  },
);

it('one click ends bulk mail to an address, however its letters are composed', async () => {
  const id = await send({ to: 'jose\u0301@example.org' });
  expect((await fetch(linkOf(id), { method: 'POST' })).status).toBe(200);
  expect(await suppressed(encodeURIComponent('jos\u00e9@example.org'))).toMatchObject([{ email_id: id }]);
  const email = { from: 'news@shop.example', to: 'jos\u00e9@example.org', subject: 's', text: 't', lane: 'bulk' };
  await becomes((await postrider.api('POST', '/v1/emails', email)).body.id, 'suppressed');
});

it('a reader presses the button of the page, by keyboard alone', async (context) => {
  const id = await send({ to: 'reader@example.org' });
  await using browser = await openBrowser(context);
  const page = await browser.newPage();
  const trouble: string[] = [];
  page.on('console', (message) => trouble.push(message.text()));
  page.on('pageerror', (error) => trouble.push(error.message));
  await page.goto(linkOf(id));
  await page.getByRole('heading', { name: 'Unsubscribe', level: 1 }).waitFor();
  expect(await suppressed('reader@example.org')).toEqual([]);
  await page.keyboard.press('Tab');
  expect(await page.evaluate('document.activeElement.textContent')).toBe('Unsubscribe');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'You are unsubscribed' }).waitFor();
  expect(await page.getByRole('status').textContent()).toContain('r***@example.org');
  expect(await suppressed('reader@example.org')).toMatchObject([{ reason: 'unsubscribe' }]);
  expect(trouble).toEqual([]);
});

it('a link that is not ours says so and does nothing', async () => {
  const id = await send({ to: 'kim@example.org' });
  for (const method of ['GET', 'POST']) {
    const answer = await fetch(`${linkOf(id).slice(0, -3)}AAA`, { method });
    expect([answer.status, await answer.text()]).toEqual([404, expect.stringContaining('This link does not work')]);
  }
  expect(await suppressed('kim@example.org')).toEqual([]);
});

it('in production bulk mail without a way to unsubscribe is refused, and the fault says what to do', async () => {
  await using production = await startPostrider({
    REDIS_URL: redis.url,
    NODE_ENV: 'production',
    ROLES: 'api',
    SMTP_URL: 'smtp://127.0.0.1:9?tls=none',
    PUBLIC_URL: 'http://mail.shop.example',
  });
  const bulk = { from: 'news@shop.example', to: 'ada@example.org', subject: 's', text: 't', lane: 'bulk' };
  const refused = await production.api('POST', '/v1/emails', bulk);
  expect(refused).toMatchObject({ status: 422, body: { errors: [{ pointer: '/lane' }] } });
  expect(refused.body.detail).toContain('set PUBLIC_URL to where this API is reached by https');
  const later = { ...bulk, scheduled_at: new Date(Date.now() + 3_600_000).toISOString() };
  const own = { ...later, headers: { 'List-Unsubscribe': '<mailto:stop@shop.example>' } };
  expect(await production.api('POST', '/v1/emails', own)).toMatchObject({ status: 202 });
  const ours = await production.api('POST', '/v1/emails', { ...own, html: '<a href="{{unsubscribe_url}}">Stop</a>' });
  expect(ours).toMatchObject({ status: 422, body: { errors: [{ pointer: '/html' }] } });
});
