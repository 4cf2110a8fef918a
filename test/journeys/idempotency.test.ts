/** Idempotency-Key: racing repeats make one email, whichever process they reach. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { apiClient, type Postrider, startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { openSmtpServer, type TestSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let apis: Postrider[];
let smtp: TestSmtpServer;
beforeAll(async () => {
  const redis = opened.use(await openTestRedis());
  smtp = opened.use(await openSmtpServer());
  const env = { REDIS_URL: redis.url, SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none` };
  apis = [opened.use(await startPostrider(env)), opened.use(await startPostrider({ ...env, ROLES: 'api' }))];
});
afterAll(() => opened.disposeAsync());

const email = { from: 'a@example.com', to: 'b@example.org', subject: 'Once', text: 'Only once' };

function post(api: Postrider | undefined, body: unknown, key?: string) {
  return apiClient(api?.url ?? '')('POST', '/v1/emails', body, key === undefined ? {} : { 'idempotency-key': key });
}

it('twenty racing POSTs with one key over two processes make one email', async () => {
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, n) => post(apis[n % 2], { ...email, subject: 'Race' }, 'race')),
  );
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]));
  expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
  expect(answers.filter(({ headers }) => headers['idempotent-replayed'] === 'true')).toHaveLength(19);
  // An email sent after the race leaves after it as well: once it is there, a second copy would be too.
  const marker = await post(apis[0], { ...email, subject: 'Marker' });
  await until('the marker', () =>
    smtp.mails.some(({ parsed }) => parsed.messageId === `<${marker.body.id}@example.com>`),
  );
  expect(smtp.mails.filter(({ parsed }) => parsed.subject === 'Race')).toHaveLength(1);
});

it('the same body in another order of members is the same request; a quoted key is the bare one', async () => {
  const first = await post(apis[0], email, 'same');
  const { subject, ...rest } = email;
  const second = await post(apis[1], JSON.stringify({ subject, ...rest }, null, 2), '"same"');
  expect(second).toMatchObject({ status: 202, body: first.body, headers: { 'idempotent-replayed': 'true' } });
});

it('a body with nulls is the same request as one that leaves those fields out', async () => {
  const first = await post(apis[0], email, 'nulls');
  const second = await post(apis[1], { ...email, cc: null, reply_to: null, dsn: null }, 'nulls');
  expect(second).toMatchObject({ status: 202, body: first.body, headers: { 'idempotent-replayed': 'true' } });
});

it('a message of a batch whose nulls leave its content to the base is refused under its key when that has changed', async () => {
  const send = (number: number) =>
    apiClient(apis[0]?.url ?? '')('POST', '/v1/emails/batch', {
      base: { ...email, subject: `Invoice ${number}`, text: `You owe ${number}` },
      messages: [{ subject: null, text: null, idempotency_key: 'invoice' }],
    });
  const first = await send(1);
  expect(await send(1)).toMatchObject({ status: 202, body: { data: first.body.data } });
  expect(await send(2)).toMatchObject({ status: 422, body: { name: 'invalid_idempotent_request' } });
});

it('a repeat is answered with the status of the first answer, though its time has come since', async () => {
  const at = Date.now() + 2_000;
  const times = [new Date(at).toISOString(), 'in 2 seconds', 'in 0 seconds'];
  const ask = () =>
    Promise.all(times.map((scheduled_at) => post(apis[1], { ...email, scheduled_at }, `${scheduled_at} by ${at}`)));
  const first = await ask();
  expect(first.map(({ body }) => body.status)).toEqual(['scheduled', 'scheduled', 'queued']);
  await until('its time', () => Date.now() > at);
  const again = await ask();
  expect(again.map(({ body }) => body)).toEqual(first.map(({ body }) => body));
  expect(again.map(({ headers }) => headers['idempotent-replayed'])).toEqual(['true', 'true', 'true']);
});

it('another body under a used key is refused and makes no email', async () => {
  await post(apis[0], email, 'other');
  expect(await post(apis[0], { ...email, subject: 'Twice' }, 'other')).toMatchObject({
    status: 422,
    body: { name: 'invalid_idempotent_request' },
  });
});

it('a request that failed validation does not consume its key', async () => {
  expect((await post(apis[0], { ...email, to: 'nobody' }, 'retry')).status).toBe(422);
  const mended = await post(apis[0], email, 'retry');
  expect(mended.status).toBe(202);
  expect(mended.headers['idempotent-replayed']).toBeUndefined();
});

it('a repeat is answered as the first time also when it would be refused by now, in a batch too', async () => {
  const expires_at = new Date(Date.now() + 1_500).toISOString();
  const one = { ...email, subject: 'Short-lived', expires_at };
  const lasting = { ...email, subject: 'Lasting' };
  const permissive = { 'x-batch-validation': 'permissive' };
  const batch = (body: unknown, headers: Record<string, string>) =>
    apiClient(apis[1]?.url ?? '')('POST', '/v1/emails/batch', body, headers);
  const ask = () =>
    Promise.all([
      post(apis[1], one, 'short'),
      batch([one, lasting], { 'idempotency-key': 'strict' }),
      batch([lasting, one, { ...one, to: 'x' }], { 'idempotency-key': 'loose', ...permissive }),
    ]);
  const own = () =>
    batch(
      [
        { ...lasting, idempotency_key: 'own-1' },
        { ...one, idempotency_key: 'own-2' },
      ],
      {},
    );
  const first = await ask();
  const firstOwn = await own();
  await until('it to be refused', async () => (await post(apis[1], one)).status === 422);
  const again = await ask();
  expect(first.map(({ status }) => status)).toEqual([202, 202, 202]);
  expect(again.map(({ status, body }) => [status, body.id, body.data])).toEqual(
    first.map(({ status, body }) => [status, body.id, body.data]),
  );
  expect(again.map(({ headers }) => headers['idempotent-replayed'])).toEqual(['true', 'true', 'true']);
  expect(again[2]?.body.errors).toMatchObject([{ index: 2 }]);
  expect((await own()).body.data).toEqual(firstOwn.body.data);
  expect((await batch([one], { 'idempotency-key': 'new' })).status).toBe(422);
});

it.each(['', 'ключ', 'x'.repeat(257)])(
  'a key that is not 1 to 256 printable ASCII characters is refused: %j',
  async (key) => {
    expect(await post(apis[0], email, Buffer.from(key).toString('latin1'))).toMatchObject({
      status: 400,
      body: { name: 'invalid_idempotency_key' },
    });
  },
);
