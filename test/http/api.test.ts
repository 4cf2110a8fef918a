/** The API's answers: who may call, what cannot be read, what is not there, and what happens while Redis is away. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { apiClient, type Postrider, startPostrider } from '../support/postrider.ts';
import { openTestRedis, type TestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let postrider: Postrider;
beforeAll(async () => {
  const redis = opened.use(await openTestRedis());
  postrider = opened.use(await startPostrider({ REDIS_URL: redis.url }));
});
afterAll(() => opened.disposeAsync());

const email = { from: 'a@example.com', to: 'b@example.org', subject: 'Hi', text: 'Hello' };

describe('a caller', () => {
  it('without a key is asked for one', async () => {
    const answer = await apiClient(postrider.url, null)('POST', '/v1/emails', email);
    expect(answer).toMatchObject({
      status: 401,
      headers: { 'content-type': 'application/problem+json', 'www-authenticate': 'Bearer' },
    });
    expect(answer.body).toEqual({
      type: 'urn:postrider:problem:missing_api_key',
      title: 'No API key was given',
      status: 401,
      detail: 'Send your API key as "Authorization: Bearer pr_…"',
      instance: '/v1/emails',
      name: 'missing_api_key',
      message: 'Send your API key as "Authorization: Bearer pr_…"',
      statusCode: 401,
    });
  });

  it.each(['GET', 'POST'] as const)('with a wrong key is turned away before its %s is looked at', async (method) => {
    const answer = await apiClient(postrider.url, 'pr_wrong')(
      method,
      method === 'GET' ? '/v1/emails/em_1' : '/v1/emails',
      method === 'GET' ? undefined : '{',
    );
    expect(answer).toMatchObject({ status: 401, body: { name: 'invalid_api_key' } });
  });
});

describe('a list', () => {
  it.each([
    ['api-keys', 'an API key', 'wh'],
    ['webhooks', 'a webhook', 'ak'],
    ['templates', 'a template', 'em'],
    ['campaigns', 'a campaign', 'em'],
    ['suppressions', 'a suppression', 'em'],
    ['webhooks/wh_1/deliveries', 'a delivery', 'wh'],
  ])('of %s is refused after a cursor that is not an id of one', async (path, item, other) => {
    for (const wrong of ['zzz', '!', `${other}_01kb2m6c3e5g7j9m1p3r5t7v9x`])
      for (const side of ['after', 'before']) {
        const answer = await postrider.api('GET', `/v1/${path}?${side}=${wrong}`);
        expect([answer.status, answer.body.errors]).toMatchObject([
          422,
          [{ pointer: `#/query/${side}`, message: `is not the id of ${item}` }],
        ]);
      }
  });
});

describe('a body', () => {
  it.each([
    ['that is not JSON', '{"from":', 400, 'unreadable_request'],
    ['with __proto__', '{"from":"a@x.co","__proto__":{"a":1}}', 400, 'unreadable_request'],
    ['that is an array', '[]', 422, 'validation_error'],
  ])('%s is refused', async (_, body, status, name) => {
    expect(await postrider.api('POST', '/v1/emails', body)).toMatchObject({
      status,
      body: { name, statusCode: status },
    });
  });

  it('nested deeper than any stack is refused, with an Idempotency-Key as well', async () => {
    const deep = `{"from":"a@x.co","subject":"s","text":"t","to":${'['.repeat(200_000)}${']'.repeat(200_000)}}`;
    expect((await postrider.api('POST', '/v1/emails', deep, { 'idempotency-key': 'deep' })).status).toBe(400);
  });

  it('of another media type is refused', async () => {
    const answer = await postrider.api('POST', '/v1/emails', 'from=a', { 'content-type': 'text/plain' });
    expect(answer).toMatchObject({ status: 415, body: { name: 'unsupported_media_type' } });
  });

  it('over the limit of its route is refused', async () => {
    const answer = await postrider.api('POST', '/v1/webhooks', { endpoint: 'x'.repeat(300_000) });
    expect(answer).toMatchObject({ status: 413, body: { name: 'payload_too_large' } });
  });

  it('with faults has each of them pointed at', async () => {
    const answer = await postrider.api('POST', '/v1/emails', { ...email, to: ['b@example.org', 'x'], 'odd/name': 1 });
    expect(answer.status).toBe(422);
    expect(answer.body.errors).toEqual([
      { pointer: '/to/1', code: 'custom', message: 'is not an address: expected local-part@domain' },
      { pointer: '/odd~1name', code: 'unknown_field', message: 'is not a known field' },
    ]);
    expect(answer.body.detail).toBe(
      '/to/1: is not an address: expected local-part@domain; /odd~1name: is not a known field',
    );
  });
});

describe('a URL that cannot be read', () => {
  it.each(['/v1/emails/%zz', `/v1/emails/${'x'.repeat(600)}`])('is answered like any other fault: %s', async (path) => {
    expect(await postrider.api('GET', path)).toMatchObject({
      headers: { 'content-type': 'application/problem+json' },
      body: { name: 'unreadable_request', status: 400 },
    });
  });
});

describe('a missing route or resource', () => {
  it.each(['/v1/emails/em_00000000000000000000000000', '/v1/webhooks/wh_1', '/v1/nothing', '/nothing?x=1'])(
    '%s is a 404 that says so',
    async (path) => {
      const answer = await postrider.api('GET', path);
      expect(answer).toMatchObject({ status: 404, body: { name: 'not_found', instance: path.split('?')[0] } });
    },
  );

  it('says that the API is below /v1 to a client that left it out', async () => {
    const detail = 'There is nothing at POST /emails: the paths of the API begin with /v1';
    expect(await postrider.api('POST', '/emails', {})).toMatchObject({ status: 404, body: { detail } });
    const within = 'There is nothing at GET /v1/nothing';
    expect(await postrider.api('GET', '/v1/nothing')).toMatchObject({ status: 404, body: { detail: within } });
  });
});

describe('a base URL that ends with a slash', () => {
  it('leads to the same routes, and asks for the same key', async () => {
    expect(await postrider.api('GET', '/v1//emails?limit=1')).toMatchObject({ status: 200, body: { object: 'list' } });
    expect((await apiClient(postrider.url, null)('GET', '/v1//emails')).status).toBe(401);
    expect((await apiClient(postrider.url, null)('GET', '//v1/emails')).status).toBe(401);
    expect((await postrider.api('GET', '/v1//nothing')).status).toBe(404);
  });
});

describe('a path that ends with a slash', () => {
  it('leads to the same route', async () => {
    const email = { from: 'a@example.com', to: 'b@example.com', subject: 'Hello', text: 'Hello' };
    const { status, body } = await postrider.api('POST', '/v1/emails/', email);
    expect(status).toBe(202);
    expect(await postrider.api('GET', `/v1/emails/${body.id}/`)).toMatchObject({ status: 200, body: { id: body.id } });
    expect(await postrider.api('GET', '/v1/suppressions/')).toMatchObject({ status: 200, body: { object: 'list' } });
    expect(await postrider.api('DELETE', '/v1/emails/')).toMatchObject({
      status: 405,
      headers: { allow: 'GET, HEAD, POST' },
    });
    expect((await apiClient(postrider.url, null)('GET', '/v1/emails/')).status).toBe(401);
    expect((await postrider.api('GET', '/v1/nothing/')).status).toBe(404);
  });
});

describe('a body sent to an unknown route', () => {
  it('is not what the answer is about', async () => {
    const answer = await postrider.api('POST', '/v1/nothing', 'x', { 'content-type': 'text/plain' });
    expect(answer).toMatchObject({ status: 404, body: { name: 'not_found' } });
  });
});

describe('a path that is there', () => {
  it.each([
    ['GET', '/v1/emails/batch', 'POST'],
    ['DELETE', '/v1/emails/em_1', 'GET, HEAD, PATCH'],
    ['DELETE', '/v1/webhooks', 'GET, HEAD, POST'],
    ['POST', '/v1/webhooks/wh_1', 'GET, HEAD, PATCH, DELETE'],
    ['POST', '/livez', 'GET, HEAD'],
    ['OPTIONS', '/v1/emails', 'GET, HEAD, POST'],
  ] as const)('has no %s %s and says what it has', async (method, path, allow) => {
    for (const body of [undefined, '{"', 'x'.repeat(300_000)])
      expect(await postrider.api(method, path, method === 'GET' ? undefined : body)).toMatchObject({
        status: 405,
        headers: { allow, 'content-type': 'application/problem+json' },
        body: { name: 'method_not_allowed', instance: path, detail: `This path takes ${allow}` },
      });
  });

  it('answers HEAD as GET, and no other path does', async () => {
    const head = (path: string) => postrider.api('HEAD', path);
    expect((await head('/livez')).status).toBe(200);
    expect((await head('/v1/emails/batch')).status).toBe(405);
    expect((await head('/v1/nothing')).status).toBe(404);
  });

  it('shows nothing to a caller without a key', async () => {
    const answer = await apiClient(postrider.url, null)('PATCH', '/v1/webhooks', '{');
    expect(answer).toMatchObject({ status: 401, body: { name: 'missing_api_key' } });
    expect(answer.headers.allow).toBeUndefined();
  });
});

describe('a fault outside of the body', () => {
  it.each([
    ['/dev/inbox.json?colour=blue&to=x', '#/query/colour', 'unknown_field', 'is not a known parameter'],
    ['/dev/inbox/mi_1/attachments/last', '#/path/index', 'invalid_type', 'must be a number'],
  ])('is reported as such: %s', async (path, pointer, code, message) => {
    const answer = await postrider.api('GET', path);
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ pointer, code, message }] } });
    expect(answer.body.detail).toBe(`${pointer}: ${message}`);
  });
});

describe('webhooks', () => {
  it('are made, looked at, listed newest first and removed; the secret is shown once', async () => {
    const make = (endpoint: string) => postrider.api('POST', '/v1/webhooks', { endpoint, events: ['email.sent'] });
    const [first, second] = [await make('https://a.example/'), await make('https://b.example/')];
    expect(first).toMatchObject({
      status: 201,
      body: { object: 'webhook', status: 'enabled', signing_secret: expect.stringMatching(/^whsec_/) },
    });
    const { signing_secret: _, ...shown } = first.body;
    expect((await postrider.api('GET', `/v1/webhooks/${first.body.id}`)).body).toEqual(shown);
    const list = await postrider.api('GET', '/v1/webhooks');
    expect(list.body).toMatchObject({ object: 'list', has_more: false });
    expect(list.body.data.map(({ id }) => id)).toEqual([second.body.id, first.body.id]);
    expect(JSON.stringify(list.body)).not.toContain('whsec_');
    expect(await postrider.api('DELETE', `/v1/webhooks/${first.body.id}`)).toMatchObject({
      status: 200,
      body: { id: first.body.id, deleted: true },
    });
    expect((await postrider.api('DELETE', `/v1/webhooks/${first.body.id}`)).status).toBe(404);
  });
});

describe('while Redis is away', () => {
  let redis: TestRedis;
  let alone: Postrider;
  beforeAll(async () => {
    redis = opened.use(await openTestRedis());
    alone = opened.use(await startPostrider({ REDIS_URL: redis.url, ROLES: 'api' }));
  });

  it('a Redis that is there and does not answer counts as away', async () => {
    redis.freeze();
    const answers = await Promise.all([alone.api('GET', '/readyz'), alone.api('POST', '/v1/emails', email)]);
    expect(answers.map(({ status }) => status)).toEqual([503, 503]);
    redis.thaw();
    await until(
      'an email to be accepted again',
      async () => (await alone.api('POST', '/v1/emails', email)).status === 202,
    );
  });

  it('a request is refused with 503 and nothing is accepted; the process lives, is not ready, and heals by itself', async () => {
    expect(await alone.api('GET', '/readyz')).toMatchObject({ status: 200, body: { status: 'ready' } });
    await redis.stop();
    const refused = await until('a 503', async () => {
      const answer = await alone.api('POST', '/v1/emails', email);
      return answer.status === 503 && answer;
    });
    expect(refused).toMatchObject({ headers: { 'retry-after': '2' }, body: { name: 'service_unavailable' } });
    expect(await alone.api('GET', '/livez')).toMatchObject({ status: 200, body: { status: 'alive' } });
    expect(await alone.api('GET', '/readyz')).toMatchObject({ status: 503, body: { status: 'not_ready' } });
    await redis.start();
    await until(
      'an email to be accepted again',
      async () => (await alone.api('POST', '/v1/emails', email)).status === 202,
    );
  });
});
