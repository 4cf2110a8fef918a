/** Who gets no more mail: put on the list by what happened or by hand, asked right before sending, and free again once taken off. */
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Body, type Postrider, startPostrider, testApiKey } from '../support/postrider.ts';
import { openReceiver, type Receiver } from '../support/receiver.ts';
import { openTestRedis } from '../support/redis.ts';
import { openSmtpServer, type TestSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let smtp: TestSmtpServer;
let receiver: Receiver;
let postrider: Postrider;
beforeAll(async () => {
  const redis = opened.use(await openTestRedis());
  smtp = opened.use(
    await openSmtpServer({
      onRecipient: (address) => (/^gone/i.test(address) ? '550 5.1.1 No such user here' : undefined),
    }),
  );
  receiver = opened.use(await openReceiver());
  postrider = opened.use(
    await startPostrider({
      REDIS_URL: redis.url,
      SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none`,
      WEBHOOK_ALLOW_PRIVATE_NETWORKS: 'true',
    }),
  );
  await api('POST', '/v1/webhooks', { endpoint: receiver.url, events: ['email.suppressed'] });
});
afterAll(() => opened.disposeAsync());

const api: Postrider['api'] = (...request) => postrider.api(...request);

async function send(given: object): Promise<string> {
  const email = { from: 'a@example.com', subject: 'Hi', text: 'Hello', ...given };
  const { status, body } = await api('POST', '/v1/emails', email);
  expect(status).toBe(202);
  return body.id;
}

async function ended(id: string, status: string): Promise<Body> {
  return until(`${id} to be ${status}`, async () => {
    const { body } = await api('GET', `/v1/emails/${id}`);
    return body.status === status && body;
  });
}

const statuses = (body: Body) => Object.fromEntries(body.recipients.map(({ email, status }) => [email, status]));
const recipientsOf = (id: string) => smtp.mails.filter(({ raw }) => raw.includes(id)).flatMap(({ to }) => to);

it('an address that was refused for good gets nothing more, others of the same email do, and the event says why', async () => {
  const first = await send({ to: 'Gone@example.org' });
  await ended(first, 'bounced');
  const { body: listed } = await api('GET', '/v1/suppressions/gone@example.org');
  expect(listed.data).toMatchObject([{ email: 'gone@example.org', scope: 'all', reason: 'bounce', email_id: first }]);
  const { body: bounces } = await api('GET', '/v1/events?types=email.bounced');
  expect(bounces.data).toMatchObject([{ data: { email_id: first, bounce: { suppressed: true } } }]);

  const second = await send({ to: ['gone@example.org', 'good@example.org'] });
  const body = await ended(second, 'suppressed');
  expect(statuses(body)).toEqual({ 'gone@example.org': 'suppressed', 'good@example.org': 'sent' });
  expect(body.recipients[0]?.reason).toMatch(/^suppressed for mail since 20.*: mail to it was permanently refused$/);
  expect(recipientsOf(second)).toEqual(['good@example.org']);
  const told = await until(
    'the event',
    () => receiver.hooks.find(({ event }) => event.data.email_id === second)?.event,
  );
  expect(told).toMatchObject({
    type: 'email.suppressed',
    data: { to: ['gone@example.org'], reason: body.recipients[0]?.reason },
  });
  const { body: history } = await api('GET', `/v1/emails/${second}/events`);
  expect(history.data.some((entry) => (entry as unknown as { kind: string }).kind === 'suppressed')).toBe(true);
});

it('an unsubscribed address gets no bulk mail, but every login code', async () => {
  const asked = { email: 'ADA@example.org', scope: 'bulk', reason: 'unsubscribe' };
  expect(await api('POST', '/v1/suppressions', asked)).toMatchObject({
    status: 201,
    body: { email: 'ada@example.org' },
  });
  await ended(await send({ to: 'ada@example.org', lane: 'bulk' }), 'suppressed');
  await ended(await send({ to: 'ada@example.org' }), 'sent');
});

it('mail scheduled earlier is not sent; off the list, the address gets mail again, and the log says which key removed it', async () => {
  const later = new Date(Date.now() + 3_600_000).toISOString();
  const id = await send({ to: 'bob@example.org', scheduled_at: later });
  await api('POST', '/v1/suppressions', { email: 'bob@example.org', note: 'asked by phone' });
  await api('PATCH', `/v1/emails/${id}`, { scheduled_at: new Date().toISOString() });
  await ended(id, 'suppressed');
  expect(await api('DELETE', '/v1/suppressions/bob@example.org?scope=bulk')).toMatchObject({ status: 404 });
  expect(await api('DELETE', '/v1/suppressions/BOB@example.org')).toMatchObject({
    status: 200,
    body: { deleted: true },
  });
  expect(await api('GET', '/v1/suppressions/bob@example.org')).toMatchObject({ status: 404 });
  await ended(await send({ to: 'bob@example.org' }), 'sent');
  expect(postrider.output()).toMatch(/b\*\*\*@example\.org.*unsuppressed/);
});

it('a sandbox recipient that bounces can be used again', async () => {
  for (let n = 0; n < 2; n++) await ended(await send({ to: 'bounced@sandbox.invalid' }), 'bounced');
});

async function upload(type: string, body: string | Buffer, more: Record<string, string> = {}) {
  const response = await fetch(`${postrider.url}/v1/suppressions/import`, {
    method: 'POST',
    headers: { authorization: `Bearer ${testApiKey}`, 'content-type': type, ...more },
    body: new Uint8Array(Buffer.from(body)),
  });
  return { status: response.status, body: (await response.json()) as object };
}

it('a list of another system is accepted as CSV, compressed or not, and an export can be imported again', async () => {
  const rows = Array.from({ length: 3_000 }, (_, n) => `user${n}@example.net,unsubscribe,bulk,"row ${n}, of many"`);
  const csv = ['Email,Reason,Scope,Note', ...rows, 'nobody,manual,all,', 'user7@example.net,bounce,bulk,'].join('\r\n');
  const counts = { received: 3_002, added: 3_000, duplicates: 1, invalid: 1, complete: true };
  const errors = [{ line: 3_002, message: '/email: is not an address: expected local-part@domain' }];
  const taken = { status: 200, body: { object: 'suppression_import', ...counts, errors } };
  expect(await upload('text/csv', gzipSync(csv), { 'content-encoding': 'gzip' })).toEqual(taken);
  expect((await upload('text/csv; charset=utf-8', csv)).body).toMatchObject({
    added: 0,
    duplicates: 3_001,
    invalid: 1,
  });

  for (const [format, type] of [
    ['ndjson', 'application/x-ndjson'],
    ['csv', 'text/csv'],
  ] as const) {
    const headers = { authorization: `Bearer ${testApiKey}` };
    const exported = await (
      await fetch(`${postrider.url}/v1/suppressions/export?format=${format}`, { headers })
    ).text();
    const again = await upload(type, exported);
    const { received, duplicates } = again.body as { received: number; duplicates: number };
    expect([received, duplicates]).toEqual([received, received]);
    expect(received).toBeGreaterThan(3_000);
  }
  const { body } = await api('GET', '/v1/suppressions?reason=unsubscribe&scope=bulk&limit=2');
  expect(body.data).toHaveLength(2);
  for (const { email, note } of body.data as unknown as { email: string; note: string }[])
    expect(note).toBe(`row ${/^user(\d+)@/.exec(email)?.[1]}, of many`);
  expect(body.has_more).toBe(true);
});

it.each<[string, (email: string, reason: string) => Promise<unknown>]>([
  ['one by one', (email, reason) => api('POST', '/v1/suppressions', { email, reason })],
  ['in a batch', (email, reason) => api('POST', '/v1/suppressions/batch/add', { emails: [email], reason })],
  ['by import', (email, reason) => upload('text/csv', `email,reason\n${email},${reason}\n`)],
])('a manual entry does not hide that its owner unsubscribed, added %s', async (how, add) => {
  const address = `${how.replaceAll(' ', '-')}@held.example`;
  const path = `/v1/suppressions/${address}`;
  await add(address, 'manual');
  const { body: held } = await api('GET', path);
  await add(address, 'unsubscribe');
  await add(address, 'manual');
  expect((await api('DELETE', `/v1/suppressions/${held.id}`)).status).toBe(404);
  expect((await api('GET', path)).body.data).toMatchObject([{ reason: 'unsubscribe', scope: 'all' }]);
});

it.each([
  ['commas', ','],
  ['semicolons', ';'],
  ['tabs', '\t'],
])('a list whose every field is quoted is taken with %s between them', async (name, delimiter) => {
  const row = (...fields: string[]) => fields.map((field) => `"${field}"`).join(delimiter);
  const csv = [row('email', 'reason', 'scope'), row(`${name}@quoted.example`, 'unsubscribe', 'bulk')].join('\n');
  expect((await upload('text/csv', csv)).body).toMatchObject({ received: 1, added: 1, invalid: 0 });
  const { body } = await api('GET', `/v1/suppressions/${name}@quoted.example`);
  expect(body.data).toMatchObject([{ reason: 'unsubscribe', scope: 'bulk' }]);
});

it('any other upload is refused with the accepted types, and all other routes still accept only JSON', async () => {
  expect(await upload('application/json', '[]')).toMatchObject({ status: 415 });
  expect(await upload('text/csv', 'email\n', { 'content-encoding': 'gzip' })).toMatchObject({ status: 400 });
  expect(await upload('text/csv', '')).toMatchObject({ status: 200, body: { received: 0 } });
  const headers = { authorization: `Bearer ${testApiKey}`, 'content-type': 'text/csv' };
  const response = await fetch(`${postrider.url}/v1/emails`, { method: 'POST', headers, body: 'from,to\n' });
  expect([response.status, response.headers.get('accept')]).toEqual([415, 'application/json']);
});

it('an address is found, kept from and taken off as it was put on, whatever form it is written in', async () => {
  await api('POST', '/v1/suppressions', { email: 'Eva@Bücher.example' });
  for (const written of ['eva@bücher.example', 'EVA@XN--BCHER-KVA.example', '"Ev\\a"@bücher.example']) {
    const found = await api('GET', `/v1/suppressions/${encodeURIComponent(written)}`);
    expect(found).toMatchObject({ status: 200, body: { data: [{ email: 'eva@xn--bcher-kva.example' }] } });
    await ended(await send({ to: written }), 'suppressed');
  }
  expect((await api('DELETE', `/v1/suppressions/${encodeURIComponent('eva@bücher.example')}`)).status).toBe(200);
  expect((await api('GET', '/v1/suppressions/eva@xn--bcher-kva.example')).status).toBe(404);
});

it('an address is one, however its letters are composed', async () => {
  const composed = 'jos\u00e9@example.org';
  const decomposed = 'jose\u0301@example.org';
  for (const [put, written] of [
    [composed, decomposed],
    [decomposed, composed],
  ] as const) {
    expect(await api('POST', '/v1/suppressions', { email: put })).toMatchObject({ body: { email: composed } });
    await ended(await send({ to: written }), 'suppressed');
    const path = `/v1/suppressions/${encodeURIComponent(written)}`;
    expect(await api('GET', path)).toMatchObject({ status: 200, body: { data: [{ email: composed }] } });
    expect((await api('DELETE', path)).status).toBe(200);
  }
});
