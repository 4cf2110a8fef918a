/** /v1/campaigns: made, changed as long as they are drafts, moved, listed and removed; and who may see them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, apiClient, type Body, type Postrider, startPostrider } from '../support/postrider.ts';
import { openTestRedis, type TestRedis } from '../support/redis.ts';

const opened = new AsyncDisposableStack();
let redis: TestRedis;
let postrider: Postrider;
beforeAll(async () => {
  redis = opened.use(await openTestRedis());
  postrider = opened.use(await startPostrider({ REDIS_URL: redis.url, ROLES: 'api' }));
});
afterAll(() => opened.disposeAsync());

const letter = { from: 'Acme <news@example.com>', subject: 'News for {{ name }}', html: '<p>Hi {{ name }}</p>' };
const api: Postrider['api'] = (...request) => postrider.api(...request);
const create = async (given: object = {}) => (await api('POST', '/v1/campaigns', { ...letter, ...given })).body.id;
const move = (id: string, name: string, body?: object) => api('POST', `/v1/campaigns/${id}/${name}`, body);
const add = (id: string, ...emails: readonly string[]) =>
  api('POST', `/v1/campaigns/${id}/recipients`, JSON.stringify(emails.map((email) => ({ email }))));
const told = ({ body }: Answer) => body.errors.map((one) => `${one.pointer} ${one.message}`);
const keyOf = async (given: object) =>
  apiClient(postrider.url, (await api('POST', '/v1/api-keys', { name: 'k', ...given })).body.token);
const later = () => new Date(Date.now() + 3_600_000).toISOString();

describe('a campaign', () => {
  it('comes back as it was given, as a draft without recipients', async () => {
    const given = {
      ...letter,
      ...{ name: 'December', reply_to: ['a@example.com'], preheader: 'Read on', missing: 'lenient', rate: '100/s' },
      variables: [{ key: 'name', type: 'string', fallback_value: 'friend' }],
      ...{ headers: { 'X-Kind': 'news' }, tags: [{ name: 'kind', value: 'news' }], metadata: { a: 1 } },
      ...{ route: 'default', on_unknown: 'hold' },
    };
    const { status, body } = await api('POST', '/v1/campaigns', {
      ...given,
      scheduled_at: '2026-12-07T10:00:00+01:00',
    });
    expect([status, body]).toMatchObject([
      201,
      { object: 'campaign', status: 'draft', ...given, text: null, scheduled_at: '2026-12-07T09:00:00.000Z' },
    ]);
    expect(body).toMatchObject({ pace: null, eta: null, template: null, started_at: null, ended_at: null });
    expect(new Set(Object.values((body as unknown as { counts: object }).counts))).toEqual(new Set([0]));
    expect((await api('GET', `/v1/campaigns/${body.id}`)).body).toEqual(body);
  });

  it('may be created with null for fields that it leaves out', async () => {
    const none = { text: null, reply_to: null, headers: null, tags: null, template: null, rate: null, missing: null };
    expect((await api('POST', '/v1/campaigns', { ...letter, ...none })).status).toBe(201);
  });

  it('is refused with every fault at once', async () => {
    const answer = await api('POST', '/v1/campaigns', {
      ...{ subject: '{{ a', rate: '1/s,5/m', scheduled_at: '2999-01-01T00:00:00Z', lane: 'bulk', route: 'nowhere' },
      ...{ headers: { 'Message-ID': '<a@b.c>' }, on_unknown: 'maybe' },
      tags: ['1', '2'].map((value) => ({ name: 'kind', value })),
    });
    expect(answer.status).toBe(422);
    expect(told(answer).toSorted()).toEqual([
      '/from is required',
      '/headers must not have a Message-ID: every recipient has one of its own',
      '/html html or text is required',
      '/lane is not a known field',
      '/on_unknown must be one of retry, hold',
      '/rate must be one rate, such as 14/s',
      '/route is not a route here: expected default',
      '/scheduled_at may be a year ahead at most',
      '/subject line 1, column 1: output "{{ a" not closed',
      '/tags/1/name is used by an earlier tag',
    ]);
    const both = { ...letter, missing: 'strict', template: { id: 'news' } };
    expect(told(await api('POST', '/v1/campaigns', both))).toEqual([
      '/html must not be given together with template',
      '/missing must not be given together with template',
    ]);
    expect(told(await api('POST', '/v1/campaigns', { template: { id: 'nothing' } }))).toEqual([
      '/template/id is not a template here',
    ]);
  });

  it('copies its template as it is, in the requested version, and its own fields take precedence', async () => {
    const template = {
      name: 't',
      alias: 'news',
      subject: 'Old',
      text: '{{ plan }}',
      from: 'a@example.com',
      reply_to: 'b@example.com',
    };
    const { id } = (await api('POST', '/v1/templates', template)).body;
    await api('PATCH', `/v1/templates/${id}`, { subject: 'New' });
    const own = { template: { id: 'news', version: 1, variables: { plan: ['a'] } }, from: 'c@example.com' };
    const { body } = await api('POST', '/v1/campaigns', own);
    expect(body).toMatchObject({
      ...{ name: 'Old', subject: 'Old', text: '{{ plan }}', from: 'c@example.com', reply_to: ['b@example.com'] },
      template: { id, version: 1, variables: { plan: ['a'] } },
    });
    const newest = await api('POST', '/v1/campaigns', { template: { id: 'news' }, subject: 'Mine' });
    expect(newest.body).toMatchObject({ subject: 'Mine', from: 'a@example.com', template: { id, version: 2 } });
    await api('DELETE', '/v1/templates/news');
    expect((await api('GET', `/v1/campaigns/${body.id}`)).body).toMatchObject({ text: '{{ plan }}' });
    await api('POST', '/v1/templates', { name: 'bare', alias: 'bare', text: 'x' });
    expect(told(await api('POST', '/v1/campaigns', { template: { id: 'bare' } }))).toEqual([
      '/from is required: its template has none',
      '/subject is required: its template has none',
    ]);
  });

  it('is made once under an Idempotency-Key', async () => {
    const make = (given: object) => api('POST', '/v1/campaigns', given, { 'idempotency-key': 'december' });
    const [first, second] = [await make(letter), await make(letter)];
    expect([second.body, second.headers['idempotent-replayed']]).toEqual([first.body, 'true']);
    expect((await make({ ...letter, name: 'x' })).body).toMatchObject({ name: 'invalid_idempotent_request' });
  });

  it('is answered with its id again once it is gone, and does not come back', async () => {
    const make = () => api('POST', '/v1/campaigns', letter, { 'idempotency-key': 'gone' });
    const { id } = (await make()).body;
    await api('DELETE', `/v1/campaigns/${id}`);
    const first = { id, status: 'draft', counts: { recipients: 0 } };
    expect(await make()).toMatchObject({ status: 201, headers: { 'idempotent-replayed': 'true' }, body: first });
    expect((await api('GET', `/v1/campaigns/${id}`)).status).toBe(404);
  });

  it('is answered as the first time once the template it was made of is gone', async () => {
    await api('POST', '/v1/templates', { name: 'x', alias: 'fleeting', ...letter });
    const make = () =>
      api('POST', '/v1/campaigns', { template: { id: 'fleeting' } }, { 'idempotency-key': 'fleeting' });
    const { id } = (await make()).body;
    await api('DELETE', '/v1/templates/fleeting');
    expect(await make()).toMatchObject({ status: 201, headers: { 'idempotent-replayed': 'true' }, body: { id } });
  });

  it('changes as long as it is a draft, and null takes a field away', async () => {
    const id = await create({ rate: '5/s', text: 'Hi', tags: [{ name: 'a', value: 'b' }] });
    const change = (body: object) => api('PATCH', `/v1/campaigns/${id}`, body);
    expect((await change({ name: 'Other', rate: null, html: null, tags: null })).body).toMatchObject({
      ...{ name: 'Other', rate: null, html: null, text: 'Hi', tags: [], subject: letter.subject },
    });
    expect(told(await change({ text: null }))).toEqual(['/html html or text is required']);
    expect((await change({ subject: 'Other', scheduled_at: later() })).body).toMatchObject({ subject: 'Other' });
    await add(id, 'ada@example.org');
    await move(id, 'send');
    expect(await change({ name: 'Late' })).toMatchObject({ status: 409, body: { campaign_status: 'scheduled' } });
  });
});

describe('sending', () => {
  it('needs recipients, happens once, and says the status of the campaign when it is too late', async () => {
    const id = await create();
    expect((await move(id, 'send')).body).toMatchObject({ campaign_status: 'draft', detail: /no recipients/ });
    await add(id, 'ada@example.org', 'ADA@Example.org', 'grace@example.org');
    expect((await move(id, 'send')).body).toMatchObject({ status: 'running', counts: { recipients: 2, pending: 2 } });
    expect(await move(id, 'send')).toMatchObject({ status: 409, body: { campaign_status: 'running' } });
    expect(await add(id, 'late@example.org')).toMatchObject({ status: 409, body: { campaign_status: 'running' } });
    expect(await api('DELETE', `/v1/campaigns/${id}`)).toMatchObject({ status: 409 });
    const moves = ['pause', 'pause', 'resume', 'resume', 'cancel', 'cancel'];
    const statuses: (string | number)[] = [];
    for (const name of moves) {
      const { status, body } = await move(id, name);
      statuses.push(status === 200 ? body.status : status);
    }
    expect(statuses).toEqual(['paused', 409, 'running', 409, 'canceled', 409]);
  });

  it('under an Idempotency-Key happens once, whatever came of it since; one that was refused leaves its key free', async () => {
    const id = await create();
    const send = (body: object | undefined, key: string) =>
      api('POST', `/v1/campaigns/${id}/send`, body, { 'idempotency-key': key });
    expect((await send(undefined, 'one')).status).toBe(409);
    await add(id, 'ada@example.org');
    const answers = await Promise.all([send(undefined, 'one'), send(undefined, 'one')]);
    expect(answers).toMatchObject(Array(2).fill({ status: 200, body: { status: 'running' } }));
    expect(answers.filter(({ headers }) => headers['idempotent-replayed'] === 'true')).toHaveLength(1);
    await move(id, 'pause');
    expect(await send(undefined, 'one')).toMatchObject({ status: 200, body: { status: 'paused' } });
    expect((await send({ scheduled_at: null }, 'one')).body).toMatchObject({ name: 'invalid_idempotent_request' });
    expect((await send(undefined, 'two')).status).toBe(409);
  });

  it('pauses, resumes and cancels once under an Idempotency-Key, whatever moved it since', async () => {
    const id = await create();
    await add(id, 'ada@example.org');
    const ask = async (name: string, key: string) => {
      const { status, body, headers } = await api('POST', `/v1/campaigns/${id}/${name}`, undefined, {
        'idempotency-key': key,
      });
      const isRepeat = headers['idempotent-replayed'] === 'true';
      return `${status === 200 ? body.status : status}${isRepeat ? ' again' : ''}`;
    };
    // One that was refused leaves its key free.
    expect(await ask('pause', 'one')).toBe('409');
    await move(id, 'send');
    expect([await ask('pause', 'one'), await ask('pause', 'one'), await ask('pause', 'two')]).toEqual([
      ...['paused', 'paused again', '409'],
    ]);
    // A key belongs to the campaign and what was asked of it.
    expect([await ask('resume', 'one'), await ask('pause', 'one'), await ask('pause', 'two')]).toEqual([
      ...['running', 'running again', 'paused'],
    ]);
    expect([await ask('cancel', 'one'), await ask('cancel', 'one'), await ask('pause', '')]).toEqual([
      ...['canceled', 'canceled again', '400'],
    ]);
  });

  it('of a campaign that was canceled as a draft never reports that it was sent', async () => {
    const id = await create();
    await add(id, 'ada@example.org');
    await move(id, 'cancel');
    const ofCanceled = (what: string) => `Campaign ${id} cannot be ${what}. Its status is canceled.`;
    const only = 'only a draft or a scheduled one can be';
    expect((await move(id, 'send')).body.detail).toBe(ofCanceled(`sent: ${only}`));
    expect((await move(id, 'send', { scheduled_at: later() })).body.detail).toBe(ofCanceled(`scheduled: ${only}`));
    expect((await add(id, 'late@example.org')).body.detail).toBe(ofCanceled(`added to: ${only}`));
    const removed = await api('DELETE', `/v1/campaigns/${id}`);
    expect(removed.body.detail).toBe(ofCanceled('removed while recipients of it are pending'));
  });

  it('begins at its time; another request changes the time, or starts it now', async () => {
    const at = later();
    const id = await create({ scheduled_at: at });
    await add(id, 'ada@example.org');
    expect((await move(id, 'send')).body).toMatchObject({ status: 'scheduled', scheduled_at: at });
    const sooner = new Date(Date.now() + 60_000).toISOString();
    expect((await move(id, 'send', { scheduled_at: sooner })).body).toMatchObject({ scheduled_at: sooner });
    expect((await add(id, 'grace@example.org')).body).toMatchObject({ added: 1 });
    expect((await move(id, 'send', { scheduled_at: null })).body).toMatchObject({
      ...{ status: 'running', scheduled_at: null, counts: { recipients: 2 } },
    });
  });

  it('is refused in production without a way to unsubscribe', async () => {
    const production = {
      ...{ REDIS_URL: redis.url, ROLES: 'api', NODE_ENV: 'production', PUBLIC_URL: 'http://mail.example.com' },
      SMTP_URL: 'smtp://127.0.0.1:9?tls=none',
    };
    await using live = await startPostrider(production);
    expect(told(await live.api('POST', '/v1/campaigns', letter))).toEqual([
      expect.stringMatching(/^\/headers needs a way to unsubscribe: set PUBLIC_URL/),
    ]);
    const own = { 'List-Unsubscribe': '<https://example.com/out>' };
    const { status, body } = await live.api('POST', '/v1/campaigns', { ...letter, headers: own });
    expect(status).toBe(201);
    expect(told(await live.api('PATCH', `/v1/campaigns/${body.id}`, { headers: null }))).toHaveLength(1);
    // A link of the caller's own goes into its letters as well: there is none to put in place of ours.
    await live.api('PATCH', `/v1/campaigns/${body.id}`, { html: '<a href="{{ unsubscribe_url }}">Stop</a>' });
    await live.api('POST', `/v1/campaigns/${body.id}/recipients`, JSON.stringify([{ email: 'ada@example.org' }]));
    const refused = await live.api('POST', `/v1/campaigns/${body.id}/send`);
    expect(refused).toMatchObject({ status: 422, body: { detail: expect.stringContaining('set PUBLIC_URL') } });
    const later = { scheduled_at: new Date(Date.now() + 3_600_000).toISOString() };
    expect(await live.api('POST', `/v1/campaigns/${body.id}/send`, later)).toMatchObject({
      status: 422,
      body: { detail: expect.stringContaining('set PUBLIC_URL') },
    });
    await live.api('PATCH', `/v1/campaigns/${body.id}`, { html: '<a href="https://example.com/out">Stop</a>' });
    expect((await live.api('POST', `/v1/campaigns/${body.id}/send`)).status).toBe(200);
  });
});

it('campaigns are listed newest first with their status, and a limited key does not see those of other domains', async () => {
  const mine = await create({ from: 'a@shop.example' });
  const other = await create({ from: 'a@other.example' });
  const ids = (body: Body) => body.data.map(({ id }) => id);
  expect(ids((await api('GET', '/v1/campaigns?limit=2')).body)).toEqual([other, mine]);
  const limited = await keyOf({ from_domains: ['shop.example'] });
  const { body } = await limited('GET', '/v1/campaigns');
  expect([ids(body), body.has_more]).toEqual([[mine], false]);
  expect((await limited('GET', `/v1/campaigns/${mine}`)).status).toBe(200);
  for (const answer of [
    await limited('GET', `/v1/campaigns/${other}`),
    await limited('POST', `/v1/campaigns/${other}/send`),
    await limited('DELETE', `/v1/campaigns/${other}`),
    await limited('POST', `/v1/campaigns/${other}/recipients`, '[]'),
    await api('GET', '/v1/campaigns/cm_nothing'),
  ])
    expect(answer.status).toBe(404);
  expect((await limited('POST', '/v1/campaigns', letter)).body).toMatchObject({ name: 'invalid_from_address' });
  expect((await limited('PATCH', `/v1/campaigns/${mine}`, { from: 'a@other.example' })).status).toBe(403);
  const transactional = await keyOf({ lanes: ['transactional'] });
  expect((await transactional('POST', '/v1/campaigns', letter)).body).toMatchObject({ name: 'restricted_api_key' });
  expect(ids((await transactional('GET', '/v1/campaigns')).body)).toEqual([]);
  const [reads, sends] = [await keyOf({ scopes: ['read'] }), await keyOf({ scopes: ['send'] })];
  expect([
    (await reads('POST', `/v1/campaigns/${mine}/send`)).status,
    (await sends('GET', '/v1/campaigns')).status,
  ]).toEqual([403, 403]);
});

it('a draft is removed with its recipients', async () => {
  const id = await create();
  await add(id, 'ada@example.org');
  expect((await api('DELETE', `/v1/campaigns/${id}`)).body).toEqual({ object: 'campaign', id, deleted: true });
  for (const answer of [
    await api('GET', `/v1/campaigns/${id}`),
    await move(id, 'send'),
    await api('DELETE', `/v1/campaigns/${id}`),
  ])
    expect(answer.status).toBe(404);
});
