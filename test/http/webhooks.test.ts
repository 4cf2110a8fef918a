/** /v1/webhooks over a real process: every field, changes that race, rotation, and the test event, as a consumer and as the resend SDK. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Redis } from 'ioredis';
import { Webhook } from 'standardwebhooks';
import { describe, expect, it } from 'vitest';
import { eventTypes } from '../../src/domain/event.ts';
import { seal } from '../../src/domain/secret-box.ts';
import { keys } from '../../src/store/keys.ts';
import { openWebhooks } from '../../src/store/webhooks.ts';
import { apiClient, type Postrider, testSecretKey } from '../support/postrider.ts';
import { openReceiver } from '../support/receiver.ts';
import { dataOf, resendFor } from '../support/resend.ts';
import { usePostrider } from '../support/use-postrider.ts';

let redis: Redis;
let postrider: Postrider;
usePostrider((own, server) => {
  postrider = own;
  redis = server.connect();
});

const plain = { endpoint: 'https://app.example.com/hooks', events: ['email.sent'] };
const make = async (given: object = {}) => {
  const { status, body } = await postrider.api('POST', '/v1/webhooks', { ...plain, ...given });
  expect(status).toBe(201);
  return body;
};
const patch = (id: string, body: unknown) => postrider.api('PATCH', `/v1/webhooks/${id}`, body);

const full = {
  endpoint: 'https://app.example.com/hooks',
  events: ['email.sent', 'webhook.disabled'],
  description: 'Receipts',
  filter: { tags: { category: 'receipt' }, lane: 'transactional' },
  batch: { max_events: 100, max_wait_ms: 500 },
};

describe('an endpoint', () => {
  it('that two callers remove at once is gone for both, as it is for a command that is sent again', async () => {
    const { id } = await make();
    const webhooks = openWebhooks(redis, new Uint8Array(32), () => new Uint8Array(12));
    expect(await Promise.all([webhooks.remove(id), webhooks.remove(id)])).toEqual([true, true]);
    expect(await webhooks.remove(id)).toBe(false);
  });

  it('that is removed leaves no data, whatever its remover does next', async () => {
    const { id } = await make();
    await redis.zadd(keys.postsDue, 1, id);
    const rings = [keys.posts(id), keys.posting(id), keys.deliveriesBy(id, 'failed'), keys.answersByTime(id)];
    for (const ring of rings) await redis.zadd(ring, 1, '1-0');
    for (const hash of [keys.health(id), keys.deliveries(id), keys.answers(id)]) await redis.hset(hash, 'x', '1');
    const webhooks = openWebhooks(redis, new Uint8Array(32), () => new Uint8Array(12));
    await webhooks.remove(id);
    expect(await redis.keys(`*${id}*`)).toEqual([]);
    expect(await redis.zscore(keys.postsDue, id)).toBeNull();
  });

  it('has every field it was given, and shows of its headers only the names', async () => {
    const { id } = await make({ ...full, headers: { 'X-Gateway-Key': 'hunter2' } });
    const { body } = await postrider.api('GET', `/v1/webhooks/${id}`);
    expect(body).toMatchObject({ ...full, headers: { 'X-Gateway-Key': '***' }, status: 'enabled' });
    expect(await redis.hget(keys.webhooks, id)).not.toMatch(/hunter2|whsec_/);
  });

  it('takes all types of a noun as `email.*`, like the feed, and has them by their names', async () => {
    const emailTypes = eventTypes.filter((type) => type.startsWith('email.'));
    const made = await make({ events: ['webhook.*', 'email.*'] });
    expect(made).toMatchObject({ events: ['webhook.disabled', ...emailTypes] });
    const { id } = made;
    const transportTypes = ['transport.degraded', 'transport.recovered'];
    expect((await patch(id, { events: ['transport.*'] })).body).toMatchObject({ events: transportTypes });
    expect(await patch(id, { events: ['email.s*'] })).toMatchObject({ status: 422 });
  });

  it('changes only what is named; null takes a header, a filter or a batch away', async () => {
    const { id } = await make({ ...full, headers: { 'X-A': '1', 'X-B': '2' } });
    const changed = await patch(id, { description: null, filter: null, headers: { 'x-a': null, 'X-C': '3' } });
    expect(changed).toMatchObject({
      status: 200,
      body: { ...full, description: null, filter: null, headers: { 'X-B': '***', 'X-C': '***' } },
    });
    expect(Object.keys((changed.body as unknown as { headers: object }).headers)).toEqual(['X-B', 'X-C']);
    expect((await patch(id, {})).body).toEqual(changed.body);
  });

  it('is disabled and enabled by the resend SDK', async () => {
    const resend = resendFor(postrider);
    const { id } = await make();
    expect(dataOf(await resend.webhooks.update(id, { status: 'disabled', events: ['email.bounced'] }))).toMatchObject({
      object: 'webhook',
      id,
    });
    const seen = async () => (await postrider.api('GET', `/v1/webhooks/${id}`)).body;
    expect(await seen()).toMatchObject({
      status: 'disabled',
      disabled_reason: 'by_request',
      events: ['email.bounced'],
    });
    dataOf(await resend.webhooks.update(id, { status: 'enabled' }));
    expect(await seen()).toMatchObject({ status: 'enabled', disabled_reason: null });
  });

  it('keeps what waits for it when it is changed, and drops it only when it is disabled', async () => {
    const { id } = await make();
    await redis.zadd(keys.posts(id), 1, '1-0');
    await patch(id, { status: 'enabled', description: 'Still here' });
    expect(await redis.zcard(keys.posts(id))).toBe(1);
    await patch(id, { status: 'disabled' });
    expect(await redis.zcard(keys.posts(id))).toBe(0);
  });

  it('that is moved starts afresh: failures of its old address neither delay nor count against it', async () => {
    const { id } = await make();
    const health = { failures: 9, failingSince: 1_764_000_000_000, restUntil: Date.now() + 3_600_000 };
    await redis.hset(keys.health(id), health);
    await redis.zadd(keys.postsDue, health.restUntil, id);
    await patch(id, { description: 'As it was' });
    expect(await redis.hlen(keys.health(id))).toBe(3);
    const { body } = await patch(id, { endpoint: 'https://app.example.com/moved' });
    expect(body).toMatchObject({ failing_since: null });
    expect(Number(await redis.zscore(keys.postsDue, id))).toBeLessThanOrEqual(Date.now());
    await postrider.api('DELETE', `/v1/webhooks/${id}`);
  });

  it('that was stored before it had more than an endpoint and events is read as it was', async () => {
    const id = 'wh_00000000000000000000000000';
    const secret = seal('whsec_b2xk', Buffer.from(testSecretKey, 'hex'), Buffer.alloc(12));
    await redis.hset(keys.webhooks, id, JSON.stringify({ ...plain, id, createdAt: 1, secret }));
    expect((await postrider.api('GET', `/v1/webhooks/${id}`)).body).toMatchObject({ ...plain, status: 'enabled' });
    expect(await patch(id, { description: 'New' })).toMatchObject({ status: 200, body: { description: 'New' } });
    expect(await redis.hget(keys.webhooks, id)).not.toMatch(/whsec_|"secret"/);
    await postrider.api('DELETE', `/v1/webhooks/${id}`);
  });

  it('keeps every one of the changes that race', async () => {
    const { id } = await make();
    const names = Array.from({ length: 10 }, (_, n) => `X-H${n}`);
    await Promise.all(names.map((name) => patch(id, { headers: { [name]: 'v' } })));
    const { headers } = (await postrider.api('GET', `/v1/webhooks/${id}`)).body as unknown as { headers: object };
    expect(Object.keys(headers).sort()).toEqual(names);
  });

  it.each(['PATCH /v1/webhooks/wh_1', 'POST /v1/webhooks/wh_1/rotate-secret', 'POST /v1/webhooks/wh_1/test'] as const)(
    'that is not there is not found: %s',
    async (route) => {
      const [method = '', path = ''] = route.split(' ');
      const body = method === 'PATCH' ? {} : undefined;
      expect((await postrider.api(method as 'POST', path, body)).status).toBe(404);
    },
  );

  it('cannot be changed with a key that may only send', async () => {
    const { id } = await make();
    const { token } = (await postrider.api('POST', '/v1/api-keys', { name: 'shop', scopes: ['send'] })).body;
    const shop = apiClient(postrider.url, token);
    expect((await shop('PATCH', `/v1/webhooks/${id}`, {})).status).toBe(403);
    expect((await shop('POST', `/v1/webhooks/${id}/test`)).status).toBe(403);
  });
});

describe('a header of the caller', () => {
  it.each([
    'Webhook-Id',
    'webhook-signature',
    'Svix-Id',
    'Content-Type',
    'content-length',
    'Host',
    'User-Agent',
    'Connection',
    'Transfer-Encoding',
    'TE',
    'Upgrade',
    'Proxy-Authorization',
    'Keep-Alive',
    'Expect',
    'bad name',
    'x:y',
    '',
  ])('is refused when it is ours or no name: %j', async (name) => {
    // biome-ignore format: one list
    const answer = await postrider.api('POST', '/v1/webhooks', { ...plain, headers: { [name]: 'v' } });
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ pointer: `/headers/${name}` }] } });
  });

  it.each(['a\r\nX-Evil: 1', 'a\nb', 'a\0b', 'é', '', ' a', 'x'.repeat(1_025)])(
    'is refused with the value %j',
    async (value) => {
      expect((await postrider.api('POST', '/v1/webhooks', { ...plain, headers: { 'X-A': value } })).status).toBe(422);
      expect((await patch((await make()).id, { headers: { 'X-A': value } })).status).toBe(422);
    },
  );

  it('is one of twenty at most, created together or one by one', async () => {
    const headers = (from: number, count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, n) => [`X-H${from + n}`, 'v']));
    expect((await postrider.api('POST', '/v1/webhooks', { ...plain, headers: headers(0, 21) })).status).toBe(422);
    const { id } = await make({ headers: headers(0, 20) });
    expect(await patch(id, { headers: headers(20, 1) })).toMatchObject({
      status: 422,
      body: { errors: [{ pointer: '/headers' }] },
    });
  });
});

describe('a test event', () => {
  it('is posted signed, with the headers of the endpoint, and the answer shows the response', async () => {
    await using receiver = await openReceiver(() => 418);
    const { id, signing_secret } = await make({ endpoint: receiver.url, headers: { 'X-Gateway-Key': 'k1' } });
    const { status, body } = await postrider.api('POST', `/v1/webhooks/${id}/test`);
    expect([status, body]).toEqual([
      200,
      expect.objectContaining({ ok: false, status: 418, detail: 'answered 418', type: 'email.sent', body: '' }),
    ]);
    const [hook] = receiver.hooks;
    expect(hook?.headers).toMatchObject({ 'x-gateway-key': 'k1' });
    expect(new Webhook(signing_secret).verify(hook?.body ?? '', hook?.headers as Record<string, string>)).toMatchObject(
      {
        type: 'email.sent',
        data: { test: true, from: 'test@example.com', to: ['delivered@sandbox.invalid'] },
      },
    );
  });

  it('comes in a list where the endpoint takes batches', async () => {
    await using receiver = await openReceiver();
    const { id } = await make({ endpoint: receiver.url, batch: { max_events: 10 }, events: ['transport.degraded'] });
    expect((await postrider.api('POST', `/v1/webhooks/${id}/test`)).body).toMatchObject({ ok: true, detail: null });
    expect(receiver.hooks[0]?.event).toMatchObject([{ id: expect.stringMatching(/^ev_/), type: 'transport.degraded' }]);
  });

  it('says why no answer came, and shows the beginning of one that is long', async () => {
    const server = createServer((_, response) => response.end('x'.repeat(50_000)));
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    const { port } = server.address() as AddressInfo;
    const { id } = await make({ endpoint: `http://127.0.0.1:${port}/` });
    const long = (await postrider.api('POST', `/v1/webhooks/${id}/test`)).body as unknown as { body: string };
    expect(long.body).toBe('x'.repeat(16_384));
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
    expect((await postrider.api('POST', `/v1/webhooks/${id}/test`)).body).toMatchObject({
      ok: false,
      status: null,
      detail: expect.stringContaining('ECONNREFUSED'),
    });
  });
});

describe('rotating the secret', () => {
  it('signs with both until the old one ends, as standardwebhooks and the resend SDK verify', async () => {
    await using receiver = await openReceiver();
    const { id, signing_secret: old } = await make({ endpoint: receiver.url });
    const rotated = (await postrider.api('POST', `/v1/webhooks/${id}/rotate-secret`)).body;
    expect(rotated.signing_secret).not.toBe(old);
    await postrider.api('POST', `/v1/webhooks/${id}/test`);
    const [hook] = receiver.hooks;
    const headers = hook?.headers as Record<string, string>;
    expect(headers['webhook-signature']?.split(' ')).toHaveLength(2);
    const resend = resendFor(postrider);
    for (const webhookSecret of [old, rotated.signing_secret]) {
      expect(() => new Webhook(webhookSecret).verify(hook?.body ?? '', headers)).not.toThrow();
      const [eventId = '', timestamp = '', signature = ''] = ['id', 'timestamp', 'signature'].map(
        (n) => headers[`webhook-${n}`],
      );
      const given = { payload: hook?.body ?? '', headers: { id: eventId, timestamp, signature }, webhookSecret };
      expect(() => resend.webhooks.verify(given)).not.toThrow();
    }
    expect((await postrider.api('GET', `/v1/webhooks/${id}`)).body).toMatchObject({
      previous_secret_until: expect.stringMatching(/Z$/),
    });
    const { signing_secret: third } = dataOf(await resend.webhooks.rotateSigningSecret(id));
    await postrider.api('POST', `/v1/webhooks/${id}/test`);
    const last = receiver.hooks[1];
    const verify = (secret: string) =>
      new Webhook(secret).verify(last?.body ?? '', last?.headers as Record<string, string>);
    expect(() => [third, rotated.signing_secret].map(verify)).not.toThrow();
    expect(() => verify(old)).toThrow();
  });

  it('under one Idempotency-Key is made once, and racing repeats get the same secret', async () => {
    await using receiver = await openReceiver();
    const { id, signing_secret: old } = await make({ endpoint: receiver.url });
    const rotate = (of: string) =>
      postrider.api('POST', `/v1/webhooks/${of}/rotate-secret`, undefined, { 'idempotency-key': 'turn' });
    const answers = [...(await Promise.all([rotate(id), rotate(id), rotate(id)])), await rotate(id)];
    const [secret, ...others] = new Set(answers.map(({ body }) => body.signing_secret));
    expect([others, secret === old]).toEqual([[], false]);
    expect(answers.at(-1)?.headers['idempotent-replayed']).toBe('true');
    await postrider.api('POST', `/v1/webhooks/${id}/test`);
    const [hook] = receiver.hooks;
    for (const one of [old, secret ?? ''])
      expect(() => new Webhook(one).verify(hook?.body ?? '', hook?.headers as Record<string, string>)).not.toThrow();
    expect((await rotate((await make()).id)).body).toMatchObject({ name: 'invalid_idempotent_request' });
    // Another rotation says nothing of this one.
    await postrider.api('POST', `/v1/webhooks/${id}/rotate-secret`);
    expect((await rotate(id)).body).toEqual(answers[0]?.body);
  });
});
