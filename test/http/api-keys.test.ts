/** /v1/api-keys: made, listed, renamed and revoked, by us and by the resend SDK; what each key may do, and how often. */
import { Resend } from 'resend';
import { describe, expect, it } from 'vitest';
import { type ApiClient, apiClient, type Body, type Postrider, testApiKey } from '../support/postrider.ts';
import { until } from '../support/until.ts';
import { usePostrider } from '../support/use-postrider.ts';

let postrider: Postrider;
let admin: ApiClient;
usePostrider((own) => {
  postrider = own;
  admin = postrider.api;
});

const email = { from: 'a@example.com', to: 'b@example.org', subject: 'Hi', text: 'Hello' };

async function make(request: Record<string, unknown>, by: ApiClient = admin): Promise<Body & { api: ApiClient }> {
  const { status, body } = await by('POST', '/v1/api-keys', { name: 'a key', ...request });
  expect(status, JSON.stringify(body)).toBe(201);
  return { ...body, api: apiClient(postrider.url, body.token) };
}

describe('a key', () => {
  it('is made, looked at, renamed and revoked; its token is shown once', async () => {
    const { token, api, ...shown } = await make({ name: 'shop', from_domains: ['Shop.Example'], rate: '9/s, 500/m' });
    expect(token).toMatch(/^pr_[\w-]{43}$/);
    expect(shown).toEqual({
      object: 'api_key',
      id: expect.stringMatching(/^ak_[0-9a-z]{26}$/),
      name: 'shop',
      created_at: expect.stringMatching(/Z$/),
      made_by: null,
      last_used_at: null,
      scopes: ['send', 'read', 'manage'],
      from_domains: ['shop.example'],
      lanes: null,
      rate: '9/s,500/m',
      allow_message_id: false,
    });
    const path = `/v1/api-keys/${shown.id}`;
    expect((await admin('GET', path)).body).toEqual(shown);
    expect(await admin('PATCH', path, { name: 'store' })).toMatchObject({
      status: 200,
      body: { object: 'api_key', id: shown.id },
    });
    expect((await admin('GET', path)).body).toEqual({ ...shown, name: 'store' });
    expect((await api('GET', '/v1/api-keys')).status).toBe(200);
    await until('its use to be noted', async () => (await admin('GET', path)).body.last_used_at !== null);
    expect(await admin('DELETE', path)).toMatchObject({
      status: 200,
      body: { object: 'api_key', id: shown.id, deleted: true },
    });
    expect(await api('GET', '/v1/api-keys')).toMatchObject({ status: 401, body: { name: 'invalid_api_key' } });
    for (const answer of [
      await admin('GET', path),
      await admin('DELETE', path),
      await admin('PATCH', path, { name: 'x' }),
    ])
      expect(answer).toMatchObject({ status: 404, body: { name: 'not_found' } });
  });

  it('is asked for with every fault named', async () => {
    const answer = await admin('POST', '/v1/api-keys', { scopes: [], permission: 'full_access', rate: '1/x,2/y' });
    expect(answer.status).toBe(422);
    expect(answer.body.errors.map(({ pointer }) => pointer).toSorted()).toEqual([
      '/name',
      '/permission',
      '/rate',
      '/rate',
      '/scopes',
    ]);
  });

  it('may revoke itself', async () => {
    const { id, api } = await make({ scopes: ['manage'] });
    expect((await api('DELETE', `/v1/api-keys/${id}`)).status).toBe(200);
    expect((await api('DELETE', `/v1/api-keys/${id}`)).status).toBe(401);
  });

  it('is listed in pages, newest first', async () => {
    const made: string[] = [];
    for (let n = 0; n < 3; n++) made.unshift((await make({ name: `page ${n}` })).id);
    const [third, second, first] = made;
    const page = async (query: string) => {
      const { status, body } = await admin('GET', `/v1/api-keys?${query}`);
      expect(status).toBe(200);
      return [body.data.map(({ id }) => id), body.has_more];
    };
    expect(await page('limit=2')).toEqual([[third, second], true]);
    expect(await page(`limit=1&after=${second}`)).toEqual([[first], false]);
    expect(await page(`before=${first}`)).toEqual([[third, second], false]);
    for (const query of ['limit=0', 'limit=101', 'limit=x', 'limit=1.5', `after=${first}&before=${first}`, 'order=up'])
      expect(await admin('GET', `/v1/api-keys?${query}`)).toMatchObject({
        status: 422,
        body: { name: 'validation_error' },
      });
  });

  it('is made, listed and renamed by the resend SDK', async () => {
    const resend = new Resend(testApiKey, { baseUrl: `${postrider.url}/v1` });
    const made = await resend.apiKeys.create({ name: 'sdk', permission: 'sending_access' });
    expect(made.error).toBeNull();
    const id = made.data?.id ?? '';
    expect(made.data?.token).toMatch(/^pr_/);
    expect((await resend.apiKeys.list({ limit: 1 })).data).toMatchObject({
      object: 'list',
      has_more: true,
      data: [{ id, name: 'sdk', created_at: expect.any(String), last_used_at: null, scopes: ['send'] }],
    });
    expect((await resend.apiKeys.update(id, { name: 'renamed' })).data).toEqual({ object: 'api_key', id });
    const sender = new Resend(made.data?.token, { baseUrl: `${postrider.url}/v1` });
    expect((await sender.emails.send(email)).error).toBeNull();
    expect((await sender.apiKeys.list()).error).toMatchObject({ statusCode: 403, name: 'restricted_api_key' });
  });
});

describe('a scope', () => {
  const routes = [
    ['POST', '/v1/emails', 'send'],
    ['GET', '/v1/emails/em_1', 'read'],
    ['GET', '/v1/webhooks', 'manage'],
    ['GET', '/v1/webhooks/wh_1', 'manage'],
    ['POST', '/v1/webhooks', 'manage'],
    ['DELETE', '/v1/webhooks/wh_1', 'manage'],
    ['GET', '/v1/api-keys', 'manage'],
    ['GET', '/v1/api-keys/ak_1', 'manage'],
    ['POST', '/v1/api-keys', 'manage'],
    ['PATCH', '/v1/api-keys/ak_1', 'manage'],
    ['DELETE', '/v1/api-keys/ak_1', 'manage'],
  ] as const;

  it.each(['send', 'read', 'manage'] as const)('%s opens its own routes and no other', async (scope) => {
    const { api } = await make({ scopes: [scope] });
    for (const [method, path, needed] of routes) {
      const answer = await api(method, path, method === 'POST' || method === 'PATCH' ? {} : undefined);
      if (needed === scope) expect([200, 404, 422], `${method} ${path}`).toContain(answer.status);
      else
        expect(answer, `${method} ${path}`).toMatchObject({
          status: 403,
          body: {
            name: 'restricted_api_key',
            detail: `This needs a key with the scope ${needed}; this key has ${scope}`,
          },
        });
    }
  });

  it.each([{ from_domains: ['example.com'] }, { lanes: ['bulk'] }])(
    'over all mail is not for a key with %j',
    async (limits) => {
      const { api } = await make(limits);
      expect(await api('GET', '/v1/webhooks')).toMatchObject({ status: 403, body: { name: 'restricted_api_key' } });
      expect(
        await api('POST', '/v1/webhooks', { endpoint: 'https://a.example/', events: ['email.sent'] }),
      ).toMatchObject({ status: 403 });
      expect((await api('GET', '/v1/api-keys')).status).toBe(200);
    },
  );
});

describe('a manage key with limits', () => {
  it('makes keys within its own only, and has each excess named', async () => {
    const { api } = await make({ scopes: ['send', 'manage'], from_domains: ['a.example'], rate: '100/s' });
    expect(await api('POST', '/v1/api-keys', { name: 'more', allow_message_id: true })).toMatchObject({
      status: 403,
      body: {
        name: 'restricted_api_key',
        errors: [
          { pointer: '/scopes' },
          { pointer: '/from_domains' },
          { pointer: '/rate' },
          { pointer: '/allow_message_id' },
        ],
      },
    });
    await make({ scopes: ['send'], from_domains: ['a.example'], rate: '100/s' }, api);
  });

  it('has one rate with all keys that it makes, and that those make, also once it is revoked', async () => {
    const parent = await make({ rate: '8/d' });
    const child = await make({ rate: '7/d' }, parent.api);
    const grandchild = await make({ rate: '7/d' }, child.api);
    const ask = async (api: ApiClient) => (await api('GET', '/v1/emails')).status;
    expect([await ask(grandchild.api), await ask(child.api), await ask(parent.api)]).toEqual([200, 200, 200]);
    await admin('DELETE', `/v1/api-keys/${parent.id}`);
    const left = await child.api('GET', '/v1/emails');
    expect(left.headers).toMatchObject({ 'ratelimit-policy': '"day";q=8;w=86400', 'ratelimit-remaining': '2' });
    expect([await ask(grandchild.api), await ask(child.api), await ask(grandchild.api)]).toEqual([200, 200, 429]);
  });

  it('is named by the keys that it made, which are found by it also once it is revoked', async () => {
    const parent = await make({});
    const child = await make({}, parent.api);
    await make({}, child.api);
    await admin('DELETE', `/v1/api-keys/${parent.id}`);
    const { data } = (await admin('GET', `/v1/api-keys?made_by=${parent.id}`)).body;
    expect(data).toMatchObject([{ id: child.id, made_by: parent.id }]);
    expect((await admin('GET', '/v1/api-keys?made_by=me')).status).toBe(422);
  });

  it('makes none below eight others that have rates and made each other', async () => {
    let key = await make({ rate: '99/d' });
    for (let n = 0; n < 8; n++) key = await make({ rate: '99/d' }, key.api);
    expect(await key.api('POST', '/v1/api-keys', { name: 'k', rate: '99/d' })).toMatchObject({
      ...{ status: 403, body: { errors: [{ pointer: '/rate', code: 'exceeds_own_key' }] } },
    });
  });

  it('sees, renames and revokes no other', async () => {
    const limited = await make({ from_domains: ['a.example'] });
    const other = await make({ from_domains: ['a.example', 'b.example'] });
    const own = await make({ scopes: ['send'], from_domains: ['a.example'] }, limited.api);
    const { body } = await limited.api('GET', '/v1/api-keys');
    const listed = body.data.map(({ id }) => id);
    expect(listed.slice(0, 2)).toEqual([own.id, limited.id]);
    expect(listed).not.toContain(other.id);
    const path = `/v1/api-keys/${other.id}`;
    expect((await limited.api('GET', path)).status).toBe(404);
    expect((await limited.api('PATCH', path, { name: 'mine' })).status).toBe(404);
    expect((await limited.api('DELETE', path)).status).toBe(404);
    expect(await admin('GET', path)).toMatchObject({ status: 200, body: { name: 'a key' } });
    expect((await limited.api('DELETE', `/v1/api-keys/${own.id}`)).status).toBe(200);
  });
});

describe('a rate', () => {
  it('is reported with every answer, and a request over it is refused until its window ends', async () => {
    const { api } = await make({ scopes: ['read'], rate: '3/m,100/h' });
    const statuses: number[] = [];
    for (const left of [2, 1, 0]) {
      // What is not there and what is forbidden are answers too.
      const answer = await api('GET', left === 1 ? '/v1/api-keys' : '/v1/emails/em_1');
      statuses.push(answer.status);
      expect(answer.headers).toMatchObject({
        'ratelimit-policy': '"minute";q=3;w=60, "hour";q=100;w=3600',
        ratelimit: expect.stringMatching(new RegExp(`^"minute";r=${left};t=\\d+, "hour";r=${left + 97};t=\\d+$`)),
        'ratelimit-limit': '3',
        'ratelimit-remaining': String(left),
        'ratelimit-reset': expect.stringMatching(/^(?:60|5\d)$/),
      });
      expect(answer.headers['retry-after']).toBeUndefined();
    }
    expect(statuses).toEqual([404, 403, 404]);
    const refused = await api('GET', '/v1/emails/em_1');
    expect(refused).toMatchObject({ status: 429, body: { name: 'rate_limit_exceeded' } });
    expect(refused.headers).toMatchObject({
      'retry-after': refused.headers['ratelimit-reset'],
      ratelimit: expect.stringMatching(/^"minute";r=0;t=(?:60|5\d), "hour";r=97;t=\d+$/),
    });
  });

  it('is not reported to a key without one', async () => {
    const { headers } = await (await make({})).api('GET', '/v1/api-keys');
    expect(Object.keys(headers).filter((name) => name.startsWith('ratelimit'))).toEqual([]);
  });
});
