/** Text that would break out of a header (CR, LF, NUL) or is no text (a lone surrogate): refused in every field, with its place, and nothing is stored. */
import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import type { Postrider } from '../support/postrider.ts';
import { usePostrider } from '../support/use-postrider.ts';

let postrider: Postrider;
let redis: Redis;
let keyId: string;
usePostrider(async (own, server) => {
  postrider = own;
  redis = server.connect();
  keyId = (await postrider.api('POST', '/v1/api-keys', { name: 'a key' })).body.id;
});

const email = { from: 'a@example.com', to: 'b@example.org', subject: 'Hi', text: 'Hello' };
const file = { filename: 'a.txt', content: '' };
const texts = { CR: 'a\rb', LF: 'a\nBcc: c@example.org', NUL: 'a\0b', 'a lone surrogate': 'a\ud800b' };

/** Everything that stands in Redis. */
const stored = async () => (await redis.keys('*')).toSorted();

async function expectRefusal(method: 'POST' | 'PATCH', path: string, body: unknown, pointer: string): Promise<void> {
  const before = await stored();
  const answer = await postrider.api(method, path, body);
  expect(answer).toMatchObject({ status: 422, body: { name: 'validation_error' } });
  expect(answer.body.errors.map((fault) => fault.pointer)).toEqual([pointer]);
  expect(await stored()).toEqual(before);
}

/** Each text in each place. */
function everywhere(places: readonly (readonly [pointer: string, put: (text: string) => object])[]) {
  return places.flatMap(([pointer, put]) =>
    Object.entries(texts).map(([what, text]) => ({ what, pointer, fields: put(text) })),
  );
}

describe('unsafe text', () => {
  it.each(
    everywhere([
      ['/subject', (text) => ({ subject: text })],
      ['/from', (text) => ({ from: { email: 'a@example.com', name: text } })],
      ['/from', (text) => ({ from: `"${text}" <a@example.com>` })],
      ['/to/0', (text) => ({ to: [{ email: 'b@example.org', name: text }] })],
      ['/to/1', (text) => ({ to: ['b@example.org', `b${text}@example.org`] })],
      ['/cc', (text) => ({ cc: { email: 'b@example.org', name: text } })],
      ['/cc/0', (text) => ({ cc: [`"${text}" <b@example.org>`] })],
      ['/bcc', (text) => ({ bcc: `b@example.org${text}` })],
      ['/bcc/0', (text) => ({ bcc: [{ email: `b@${text}.example.org` }] })],
      ['/reply_to', (text) => ({ reply_to: { email: 'a@example.com', name: text } })],
      ['/reply_to', (text) => ({ reply_to: `a${text}@example.com` })],
      ['/headers/X-A', (text) => ({ headers: { 'X-A': text } })],
      ['/attachments/0/filename', (text) => ({ attachments: [{ ...file, filename: text }] })],
      ['/attachments/0/content_id', (text) => ({ attachments: [{ ...file, content_id: text }] })],
      ['/attachments/0/content_type', (text) => ({ attachments: [{ ...file, content_type: `text/${text}` }] })],
      ['/attachments/0/path', (text) => ({ attachments: [{ filename: 'a', path: `https://a.example/${text}` }] })],
      ['/attachments/0/path', (text) => ({ attachments: [{ path: `https://a.example/${text}/a.txt` }] })],
      ['/attachments/0/path', (text) => ({ attachments: [{ filename: 'a', path: `https://a.example/?${text}` }] })],
      ['/tags/0/name', (text) => ({ tags: [{ name: text, value: 'x' }] })],
      ['/tags/0/value', (text) => ({ tags: [{ name: 'x', value: text }] })],
      ['/external_id', (text) => ({ external_id: text })],
    ]),
  )('is refused in an email: $what in $pointer, $fields', async ({ pointer, fields }) => {
    await expectRefusal('POST', '/v1/emails', { ...email, ...fields }, pointer);
    await expectRefusal('POST', '/v1/emails/batch', [email, { ...email, ...fields }], `/1${pointer}`);
  });

  it.each(Object.values(texts))('is refused in the name of a header: %j', async (text) => {
    await expectRefusal('POST', '/v1/emails', { ...email, headers: { [text]: 'x' } }, `/headers/${text}`);
  });

  it.each(['text', 'html'])('is refused in %s, where CR and LF are welcome', async (field) => {
    for (const text of [texts.NUL, texts['a lone surrogate']])
      await expectRefusal('POST', '/v1/emails', { ...email, [field]: text }, `/${field}`);
  });

  it.each(Object.entries(texts))('is refused in the idempotency_key of a batch: %s', async (_, text) => {
    const keyed = { ...email, idempotency_key: text };
    await expectRefusal('POST', '/v1/emails/batch', [email, keyed], '/1/idempotency_key');
    const shared = { base: email, messages: [{}, { idempotency_key: text }] };
    await expectRefusal('POST', '/v1/emails/batch', shared, '/messages/1/idempotency_key');
  });

  it.each(Object.entries(texts))('is refused in the endpoint of a webhook: %s', async (_, text) => {
    const hook = { endpoint: `https://a.example/${text}`, events: ['email.sent'] };
    await expectRefusal('POST', '/v1/webhooks', hook, '/endpoint');
  });

  it.each(Object.entries(texts))('is refused in the name of an API key: %s', async (_, text) => {
    await expectRefusal('POST', '/v1/api-keys', { name: text }, '/name');
    await expectRefusal('PATCH', `/v1/api-keys/${keyId}`, { name: text }, '/name');
  });
});
