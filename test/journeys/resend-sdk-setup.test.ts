/** The official resend SDK sets up webhooks and API keys, verifies what is delivered to it, and reads every error it may be answered. */
import { type ErrorResponse, Resend } from 'resend';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { watchFetch } from '../support/conformance.ts';
import { type Postrider, startPostrider } from '../support/postrider.ts';
import { type Hook, openReceiver, type Receiver } from '../support/receiver.ts';
import { openTestRedis, type TestRedis } from '../support/redis.ts';
import { dataOf, errorOf, resendFor } from '../support/resend.ts';
import { openSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

watchFetch();

const opened = new AsyncDisposableStack();
let redis: TestRedis;
let receiver: Receiver;
let postrider: Postrider;
let resend: Resend;
beforeAll(async () => {
  redis = opened.use(await openTestRedis());
  receiver = opened.use(await openReceiver());
  const smtp = opened.use(
    await openSmtpServer({
      onRecipient: (address) => (address === 'gone@example.org' ? '550 5.1.1 No such user' : undefined),
    }),
  );
  postrider = opened.use(
    await startPostrider({
      REDIS_URL: redis.url,
      SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none`,
      WEBHOOK_ALLOW_PRIVATE_NETWORKS: 'true',
    }),
  );
  resend = resendFor(postrider);
});
afterAll(() => opened.disposeAsync());

const letter = { from: 'Acme <acme@example.com>', to: 'ada@example.org', subject: 'Hello', text: 'Hello, Ada' };

describe('suppressions', () => {
  it('are added, listed by origin, and looked at and removed by the id that adding was answered', async () => {
    const { id, object } = dataOf(await resend.suppressions.add({ email: 'Eve@Example.org' }));
    expect([object, id]).toEqual(['suppression', expect.stringMatching(/^sp_/)]);
    const seen = { id, email: 'eve@example.org', origin: 'manual', source_id: null };
    expect(dataOf(await resend.suppressions.get(id))).toMatchObject({ object: 'suppression', ...seen });
    expect(dataOf(await resend.suppressions.list({ origin: 'manual' }))).toMatchObject({ data: [seen] });
    expect(dataOf(await resend.suppressions.list({ origin: 'complaint' })).data).toEqual([]);
    const bulk = { email: 'eve@example.org', scope: 'bulk' };
    await postrider.api('POST', '/v1/suppressions', { ...bulk, reason: 'unsubscribe' });
    expect(dataOf(await resend.suppressions.get('Eve@example.org'))).toMatchObject({
      ...{ object: 'suppression', ...seen },
      data: [{ scope: 'all' }, { scope: 'bulk', reason: 'unsubscribe', origin: 'manual' }],
    });
    expect(dataOf(await resend.suppressions.list({ origin: 'manual' })).data).toHaveLength(2);
    expect(dataOf(await resend.suppressions.remove(id))).toMatchObject({ object: 'suppression', id, deleted: true });
    expect((await postrider.api('GET', '/v1/suppressions/eve@example.org')).body.data).toMatchObject([bulk]);
    expect(errorOf(await resend.suppressions.remove(id))).toMatchObject({ name: 'not_found', statusCode: 404 });
    expect((await resend.suppressions.remove('eve@example.org')).error).toBeNull();
  });

  it('are added and removed several at a time, answered in order', async () => {
    const { batch } = resend.suppressions;
    const added = dataOf(await batch.add({ emails: ['Bo@example.org', 'cy@example.org', 'bo@example.org'] })).data;
    const [bo, cy] = added.map(({ id }) => id);
    expect(added).toMatchObject([bo, cy, bo].map((id) => ({ object: 'suppression', id })));
    expect(dataOf(await resend.suppressions.get(cy ?? ''))).toMatchObject({
      email: 'cy@example.org',
      origin: 'manual',
    });
    expect(dataOf(await batch.add({ emails: ['cy@example.org'] })).data).toMatchObject([{ id: cy }]);

    expect(dataOf(await batch.remove({ ids: [cy ?? ''] })).data).toMatchObject([{ id: cy, deleted: true }]);
    const left = dataOf(await batch.remove({ emails: ['cy@example.org', 'BO@example.org'] })).data;
    expect(left).toMatchObject([{ deleted: false }, { id: bo, deleted: true }]);
    expect(dataOf(await resend.suppressions.list()).data).toEqual([]);
    expect(errorOf(await batch.add({ emails: ['nobody', 'ada@example.org', '@'] }))).toMatchObject({
      name: 'validation_error',
      message: expect.stringMatching(/\/emails\/0.*\/emails\/2/),
    });
    expect(dataOf(await resend.suppressions.list()).data).toEqual([]);
  });
});

describe('webhooks', () => {
  const headersOf = ({ headers }: Hook) => ({
    id: String(headers['svix-id']),
    timestamp: String(headers['svix-timestamp']),
    signature: String(headers['svix-signature']),
  });

  it('are made, looked at, listed and removed', async () => {
    const endpoint = 'https://app.example.com/hooks';
    const { id, signing_secret, object } = dataOf(
      await resend.webhooks.create({ endpoint, events: ['email.sent', 'email.bounced'] }),
    );
    expect([object, signing_secret]).toEqual(['webhook', expect.stringMatching(/^whsec_/)]);
    const seen = { id, endpoint, events: ['email.sent', 'email.bounced'], status: 'enabled' };
    expect(dataOf(await resend.webhooks.get(id))).toMatchObject({ object: 'webhook', ...seen });
    const other = dataOf(await resend.webhooks.create({ endpoint, events: ['email.failed'] }));
    expect(dataOf(await resend.webhooks.list())).toMatchObject({
      object: 'list',
      has_more: false,
      data: [{ id: other.id }, { id, created_at: expect.stringMatching(/Z$/) }],
    });
    const first = dataOf(await resend.webhooks.list({ limit: 1 }));
    expect([first.has_more, first.data.map((webhook) => webhook.id)]).toEqual([true, [other.id]]);
    const rest = dataOf(await resend.webhooks.list({ limit: 1, after: other.id }));
    expect([rest.has_more, rest.data.map((webhook) => webhook.id)]).toEqual([false, [id]]);
    const back = dataOf(await resend.webhooks.list({ limit: 1, before: id }));
    expect([back.has_more, back.data.map((webhook) => webhook.id)]).toEqual([false, [other.id]]);
    for (const webhook of [id, other.id])
      expect(dataOf(await resend.webhooks.remove(webhook))).toEqual({ object: 'webhook', id: webhook, deleted: true });
    expect(errorOf(await resend.webhooks.get(id))).toMatchObject({ name: 'not_found', statusCode: 404 });
    expect(errorOf(await resend.webhooks.remove(id))).toMatchObject({ name: 'not_found', statusCode: 404 });
  });

  it('deliver what the SDK verifies and reads, and nothing forged is let in', async () => {
    const { id: webhookId, signing_secret: webhookSecret } = dataOf(
      await resend.webhooks.create({
        endpoint: receiver.url,
        events: ['email.sent', 'email.bounced', 'email.suppressed'],
      }),
    );
    const { id } = dataOf(
      await resend.emails.send({
        ...letter,
        to: ['ada@example.org', 'gone@example.org'],
        tags: [{ name: 'kind', value: 'greeting' }],
      }),
    );
    const hooks = await until('both webhooks', () => receiver.hooks.length >= 2 && receiver.hooks);
    const events = hooks.map((hook) =>
      resend.webhooks.verify({ payload: hook.body, headers: headersOf(hook), webhookSecret }),
    );
    const sent = events.find((event) => event.type === 'email.sent');
    expect(sent).toMatchObject({ created_at: expect.stringMatching(/Z$/) });
    expect(sent?.data).toMatchObject({
      email_id: id,
      message_id: `<${id}@example.com>`,
      created_at: expect.stringMatching(/Z$/),
      from: 'acme@example.com',
      to: ['ada@example.org'],
      subject: 'Hello',
      tags: { kind: 'greeting' },
    });
    const bounced = events.find((event) => event.type === 'email.bounced');
    expect(bounced?.data.to).toEqual(['gone@example.org']);
    expect(bounced?.data.bounce).toEqual({
      type: 'Permanent',
      subType: 'General',
      message: '550 5.1.1 No such user',
      category: 'unknown_user',
      suppressed: true,
    });
    await resend.emails.send({ ...letter, to: 'gone@example.org' });
    const last = await until('the third webhook', () => receiver.hooks[2]);
    const suppressed = resend.webhooks.verify({ payload: last.body, headers: headersOf(last), webhookSecret });
    expect(suppressed).toMatchObject({
      type: 'email.suppressed',
      data: {
        suppressed: { type: 'OnAccountSuppressionList', message: expect.stringMatching(/^suppressed for mail/) },
      },
    });

    const [hook] = hooks;
    if (hook === undefined) throw new Error('no webhook came');
    const genuine = { payload: hook.body, headers: headersOf(hook), webhookSecret };
    const [again] = dataOf(await resend.webhooks.list()).data;
    expect(again?.id).toBe(webhookId);
    for (const forged of [
      { ...genuine, payload: hook.body.replace(id, 'em_other') },
      { ...genuine, headers: { ...genuine.headers, id: 'ev_other' } },
      { ...genuine, headers: { ...genuine.headers, timestamp: '1700000000' } },
      { ...genuine, webhookSecret: `whsec_${Buffer.alloc(32).toString('base64')}` },
    ])
      expect(() => resend.webhooks.verify(forged)).toThrow();
  });
});

describe('API keys', () => {
  it('are made, listed, renamed and removed', async () => {
    const full = dataOf(await resend.apiKeys.create({ name: 'full', permission: 'full_access' }));
    const sending = dataOf(await resend.apiKeys.create({ name: 'sending', permission: 'sending_access' }));
    const usual = dataOf(await resend.apiKeys.create({ name: 'usual' }));
    expect([full, sending, usual].every(({ token }) => token.startsWith('pr_'))).toBe(true);
    const own = resendFor(postrider, full.token);
    expect(dataOf(await own.apiKeys.list({ limit: 2 }))).toMatchObject({
      object: 'list',
      has_more: true,
      data: [
        { id: usual.id, name: 'usual', last_used_at: null },
        { id: sending.id, name: 'sending' },
      ],
    });
    expect(dataOf(await own.apiKeys.list({ limit: 2, after: sending.id })).data).toMatchObject([{ id: full.id }]);
    expect(dataOf(await own.apiKeys.update(sending.id, { name: 'shop' }))).toEqual({
      object: 'api_key',
      id: sending.id,
    });
    expect(dataOf(await own.apiKeys.list()).data.map(({ name }) => name)).toEqual(['usual', 'shop', 'full']);
    for (const { id } of [usual, sending, full])
      expect(dataOf(await resend.apiKeys.remove(id))).toMatchObject({ object: 'api_key', id, deleted: true });
    expect(dataOf(await resend.apiKeys.list()).data).toEqual([]);
    expect(errorOf(await own.apiKeys.list())).toMatchObject({ name: 'invalid_api_key', statusCode: 401 });
  });

  it('with sending access send and do nothing else', async () => {
    const { id, token } = dataOf(await resend.apiKeys.create({ name: 'shop', permission: 'sending_access' }));
    const shop = resendFor(postrider, token);
    const scheduledAt = new Date(Date.now() + 3_600_000).toISOString();
    const email = dataOf(await shop.emails.send({ ...letter, scheduledAt }));
    expect(dataOf(await shop.batch.send([letter])).data).toHaveLength(1);
    const refused = [
      await shop.emails.get(email.id),
      await shop.emails.list(),
      await shop.webhooks.create({ endpoint: 'https://a.example', events: ['email.sent'] }),
      await shop.webhooks.get('wh_1'),
      await shop.webhooks.list(),
      await shop.webhooks.remove('wh_1'),
      await shop.apiKeys.create({ name: 'more' }),
      await shop.apiKeys.list(),
      await shop.apiKeys.update(id, { name: 'more' }),
      await shop.apiKeys.remove(id),
    ];
    for (const answer of refused)
      expect(errorOf(answer)).toMatchObject({ name: 'restricted_api_key', statusCode: 403 });
    expect(dataOf(await shop.emails.cancel(email.id)).id).toBe(email.id);
  });
});

describe('an error', () => {
  const unknown = 'em_00000000000000000000000000';
  const like = (name: string, statusCode: number | null, message: string | RegExp) => ({
    name,
    statusCode,
    message: typeof message === 'string' ? message : expect.stringMatching(message),
  });

  it.each<[string, (sdk: Resend) => Promise<{ error: ErrorResponse | null }>, object]>([
    [
      'an unknown key',
      () => new Resend('pr_unknown', { baseUrl: `${postrider.url}/v1` }).emails.send(letter),
      like('invalid_api_key', 401, 'The API key is not known here, or was revoked'),
    ],
    ['an unknown email', (sdk) => sdk.emails.get(unknown), like('not_found', 404, `There is no email ${unknown}`)],
    [
      'several faults',
      (sdk) => sdk.emails.send({ ...letter, from: 'nobody', to: [] }),
      like('validation_error', 422, /^\/from: .*; \/to: must have at least one recipient$/),
    ],
    [
      'something that is not here',
      (sdk) => sdk.domains.list(),
      like('not_found', 404, 'There is nothing at GET /v1/domains'),
    ],
    [
      'an event that is not here',
      (sdk) => sdk.webhooks.create({ endpoint: 'https://app.example.com/', events: ['email.sent', 'email.opened'] }),
      like('validation_error', 422, /^\/events\/1: must be one of .*email\.sent, .*email\.bounced/),
    ],
    [
      'a key of one domain by its id',
      (sdk) => sdk.apiKeys.create({ name: 'k', domain_id: 'b6d24b8e' }),
      like('validation_error', 422, /^\/domain_id: .* in from_domains/),
    ],
    [
      'a bad Idempotency-Key',
      (sdk) => sdk.emails.send(letter, { idempotencyKey: 'x'.repeat(257) }),
      like('invalid_idempotency_key', 400, 'Idempotency-Key must be 1 to 256 printable ASCII characters'),
    ],
  ])('for %s has a name, a message and a status', async (_, ask, expected) => {
    expect((await ask(resend)).error).toMatchObject(expected);
  });

  it('for too many requests says when to come back', async () => {
    const { body } = await postrider.api('POST', '/v1/api-keys', { name: 'slow', rate: '1/h' });
    const slow = resendFor(postrider, body.token);
    expect(dataOf(await slow.emails.send(letter)).id).toMatch(/^em_/);
    const refused = await slow.emails.send(letter);
    expect(errorOf(refused)).toMatchObject(like('rate_limit_exceeded', 429, /^Try again in \d+ s/));
    expect(Number(refused.headers?.['retry-after'])).toBeGreaterThan(0);
  });

  it('while Redis is away is one that passes', async () => {
    await redis.stop();
    expect(errorOf(await resend.emails.send(letter))).toMatchObject(
      like('service_unavailable', 503, /^The store is not available\. Try again/),
    );
    await redis.start();
    await until('sending to work again', async () => (await resend.emails.send(letter)).error === null);
  });

  it('while nothing listens is the SDK’s own', async () => {
    postrider.kill('SIGTERM');
    await postrider.ended;
    expect(errorOf(await resend.emails.send(letter))).toMatchObject(
      like('application_error', null, /^Unable to fetch/),
    );
  });
});
