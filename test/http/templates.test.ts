/** /v1/templates: stored, versioned, rendered and found by alias; every fault with its place. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { apiClient, type Postrider, startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';

const opened = new AsyncDisposableStack();
let postrider: Postrider;
let other: Postrider;
beforeAll(async () => {
  const redis = opened.use(await openTestRedis());
  const start = async () => opened.use(await startPostrider({ REDIS_URL: redis.url, ROLES: 'api' }));
  [postrider, other] = [await start(), await start()];
});
afterAll(() => opened.disposeAsync());

const letter = { name: 'Welcome', subject: 'Hi {{ name }}', html: '<p>Hi {{ name }}</p>' };
const create = async (given: object = {}) =>
  (await postrider.api('POST', '/v1/templates', { ...letter, ...given })).body.id;
const told = ({ body }: Awaited<ReturnType<Postrider['api']>>) =>
  body.errors.map((one) => `${one.pointer} ${one.message}`);

describe('a template', () => {
  it('comes back as it was given, with the variables that it asks for', async () => {
    const id = await create({
      alias: 'welcome',
      from: 'Acme <hello@example.com>',
      reply_to: ['a@example.com', 'b@example.com'],
      preheader: '{{ order.total }}',
      variables: [{ key: 'name', type: 'string', fallback_value: 'friend' }],
    });
    const { status, body } = await other.api('GET', `/v1/templates/${id}`);
    expect([status, body]).toMatchObject([
      200,
      {
        ...{ object: 'template', id, alias: 'welcome', status: 'published', version: 1, text: null, missing: 'strict' },
        ...{ ...letter, from: 'Acme <hello@example.com>', reply_to: ['a@example.com', 'b@example.com'] },
        ...{ current_version_id: `${id}_1`, has_unpublished_versions: false },
        variables: [
          { key: 'name', type: 'string', fallback_value: 'friend', used_in: ['subject', 'html'], paths: ['name'] },
          { key: 'order', type: 'any', fallback_value: null, used_in: ['preheader'], paths: ['order.total'] },
        ],
      },
    ]);
    expect((await postrider.api('GET', '/v1/templates/welcome')).body).toEqual(body);
  });

  it('is refused with every fault at once, those of Liquid with line and column', async () => {
    const answer = await postrider.api('POST', '/v1/templates', {
      subject: '{{ a',
      html: '<p>\n{{ a | foo }}{% include "x" %}',
      text: '{% if a %}',
      missing: 'maybe',
      from: 'nobody',
      variables: [{ key: 'a', type: 'number', fallback_value: 'x' }],
      colour: 'red',
    });
    expect(answer.status).toBe(422);
    expect(told(answer).toSorted()).toEqual([
      '/colour is not a known field',
      '/from is not an address: expected local-part@domain',
      '/html line 2, column 1: filter "foo" is not known here',
      '/missing must be one of strict, lenient',
      '/name is required',
      '/subject line 1, column 1: output "{{ a" not closed',
      '/text line 1, column 1: tag {% if a %} not closed',
      '/variables/0/fallback_value must be of the type of its variable',
    ]);
    expect(told(await postrider.api('POST', '/v1/templates', { name: 'x' }))).toEqual([
      '/html html or text is required',
    ]);
  });

  it('has an alias of its own', async () => {
    const id = await create({ alias: 'taken' });
    const second = await create();
    expect(told(await postrider.api('POST', '/v1/templates', { ...letter, alias: 'taken' }))).toEqual([
      '/alias is that of another template',
    ]);
    expect(told(await postrider.api('PATCH', `/v1/templates/${second}`, { alias: 'taken' }))).toEqual([
      '/alias is that of another template',
    ]);
    expect((await postrider.api('PATCH', '/v1/templates/taken', { alias: 'free' })).body).toMatchObject({
      id,
      version: 1,
    });
    expect((await postrider.api('PATCH', `/v1/templates/${second}`, { alias: 'taken' })).status).toBe(200);
    expect((await postrider.api('GET', '/v1/templates/taken')).body.id).toBe(second);
    expect((await postrider.api('PATCH', '/v1/templates/taken', { alias: null })).status).toBe(200);
    expect((await postrider.api('GET', '/v1/templates/taken')).status).toBe(404);
  });

  it('that is changed is a new version, and the old ones stay', async () => {
    const id = await create();
    const change = (body: object) => postrider.api('PATCH', `/v1/templates/${id}`, body);
    expect((await change({ subject: 'Hello {{ name }}' })).body).toEqual({ object: 'template', id, version: 2 });
    expect((await change({ subject: 'Hello {{ name }}', name: 'Other' })).body).toMatchObject({ version: 2 });
    expect((await change({ subject: null, text: '{{ name }}' })).body).toMatchObject({ version: 3 });
    expect((await postrider.api('GET', `/v1/templates/${id}`)).body).toMatchObject({
      name: 'Other',
      subject: null,
      version: 3,
    });
    const { body } = await other.api('GET', `/v1/templates/${id}/versions`);
    expect(body.data).toMatchObject([3, 2, 1].map((version) => ({ version, id: `${id}_${version}` })));
    const versionOf = async (number: number | string) =>
      await other.api('GET', `/v1/templates/${id}/versions/${number}`);
    expect((await versionOf(1)).body).toMatchObject({ subject: letter.subject, html: letter.html, version: 1 });
    expect((await versionOf(2)).body).toMatchObject({ subject: 'Hello {{ name }}' });
    expect([(await versionOf(4)).status, (await versionOf('x')).status]).toEqual([404, 422]);
    expect(told(await change({ html: null, text: null }))).toEqual(['/html html or text is required']);
    expect(told(await change({ html: '{% if %}' }))[0]).toMatch(/^\/html line 1, column 6: /);
  });

  it('that two callers change at the same time is changed by each in turn, or by one of them', async () => {
    const id = await create();
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, n) =>
        (n % 2 ? postrider : other).api('PATCH', `/v1/templates/${id}`, { subject: `Hello ${n}` }),
      ),
    );
    const changed = answers.filter(({ status }) => status === 200).length;
    expect(new Set(answers.map(({ status }) => status)).difference(new Set([200, 409]))).toEqual(new Set());
    expect((await postrider.api('GET', `/v1/templates/${id}/versions`)).body.data).toHaveLength(1 + changed);
  });

  it('shows the time of its last change, which a change without a difference does not move', async () => {
    const id = await create();
    const timesOf = async () => {
      const { body } = await postrider.api('GET', `/v1/templates/${id}`);
      const { created_at, updated_at, published_at } = body as unknown as Record<string, string>;
      return { created_at, updated_at, published_at };
    };
    const change = (body: object) => postrider.api('PATCH', `/v1/templates/${id}`, body);
    const made = await timesOf();
    expect([made.updated_at, made.published_at]).toEqual([made.created_at, made.created_at]);
    let last = made;
    for (const body of [{ subject: 'Hello {{ name }}' }, { name: 'Other' }]) {
      await expect.poll(() => new Date().toISOString() > `${last.updated_at}`).toBe(true);
      await change(body);
      const changed = await timesOf();
      expect(changed).toEqual({ ...made, updated_at: changed.updated_at, published_at: changed.updated_at });
      expect(`${changed.updated_at}` > `${last.updated_at}`).toBe(true);
      await change(body);
      expect(await timesOf()).toEqual(changed);
      last = changed;
    }
  });

  it('is made once under an Idempotency-Key', async () => {
    const make = (api: Postrider, given: object = letter) =>
      api.api('POST', '/v1/templates', given, { 'idempotency-key': 'welcome' });
    const answers = await Promise.all([make(postrider), make(other), make(postrider)]);
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
    expect((await make(other, { ...letter, name: 'Other' })).body).toMatchObject({
      name: 'invalid_idempotent_request',
    });
  });

  it('that is refused as its alias is taken claims no Idempotency-Key', async () => {
    const given = { ...letter, alias: 'wanted' };
    const make = (more: object) =>
      postrider.api('POST', '/v1/templates', { ...given, ...more }, { 'idempotency-key': 'wanted' });
    await create({ alias: 'wanted' });
    expect(told(await make({}))).toEqual(['/alias is that of another template']);
    expect(await make({ alias: 'another' })).toMatchObject({ status: 201 });
  });

  it('that was copied and removed is no fault of a repeat', async () => {
    const [id, kept] = [await create(), await create()];
    const copy = (of: string, key: string) =>
      postrider.api('POST', `/v1/templates/${of}/duplicate`, undefined, { 'idempotency-key': key });
    const first = await copy(id, 'fleeting');
    await postrider.api('DELETE', `/v1/templates/${id}`);
    expect(await copy(id, 'fleeting')).toMatchObject({ status: 201, body: first.body });
    expect((await copy(id, 'late')).status).toBe(404);
    expect((await copy(kept, 'late')).status).toBe(201);
  });

  it('is copied once under an Idempotency-Key', async () => {
    const [one, two] = [await create(), await create()];
    const copy = (id: string, key: string) =>
      postrider.api('POST', `/v1/templates/${id}/duplicate`, undefined, { 'idempotency-key': key });
    const ids = [await copy(one, 'copy'), await copy(one, 'copy')].map(({ body }) => body.id);
    expect(new Set([one, ...ids]).size).toBe(2);
    expect((await copy(two, 'copy')).body).toMatchObject({ name: 'invalid_idempotent_request' });
  });

  it('is copied, and removed with all its versions', async () => {
    const id = await create({ alias: 'original' });
    const copy = await postrider.api('POST', '/v1/templates/original/duplicate');
    expect(copy.status).toBe(201);
    expect((await postrider.api('DELETE', '/v1/templates/original')).body).toEqual({
      object: 'template',
      id,
      deleted: true,
    });
    for (const gone of ['original', id, `${id}/versions`, `${id}/versions/1`])
      expect((await postrider.api('GET', `/v1/templates/${gone}`)).status).toBe(404);
    expect((await postrider.api('GET', `/v1/templates/${copy.body.id}`)).body).toMatchObject({
      ...{ name: 'Welcome (copy)', alias: null, html: letter.html },
    });
    expect((await postrider.api('DELETE', `/v1/templates/${id}`)).status).toBe(404);
  });

  it('is changed by keys that manage, and seen by keys that read', async () => {
    const id = await create();
    const keyOf = async (given: object) =>
      apiClient(postrider.url, (await postrider.api('POST', '/v1/api-keys', { name: 'k', ...given })).body.token);
    const [sends, reads, limited] = [
      await keyOf({ scopes: ['send'] }),
      await keyOf({ scopes: ['read'] }),
      await keyOf({ from_domains: ['example.com'] }),
    ];
    expect((await reads('GET', `/v1/templates/${id}`)).status).toBe(200);
    expect((await reads('POST', `/v1/templates/${id}/render`, { variables: { name: 'x' } })).status).toBe(200);
    for (const refused of [
      await sends('GET', `/v1/templates/${id}`),
      await reads('PATCH', `/v1/templates/${id}`, { name: 'x' }),
      await limited('POST', '/v1/templates', letter),
    ])
      expect(refused.status).toBe(403);
  });
});

it('templates are listed in pages, newest first', async () => {
  const ids = [await create(), await create(), await create()].toReversed();
  const list = async (query: string) => (await postrider.api('GET', `/v1/templates?${query}`)).body;
  const idsOf = ({ data }: Awaited<ReturnType<typeof list>>) => data.map(({ id }) => id);
  const first = await list('limit=2');
  expect([idsOf(first), first.has_more]).toEqual([ids.slice(0, 2), true]);
  expect(idsOf(await list(`limit=1&after=${ids[1]}`))).toEqual([ids[2]]);
  expect(idsOf(await list(`limit=1&before=${ids[2]}`))).toEqual([ids[1]]);
  expect(await list(`before=${ids[1]}`)).toMatchObject({ has_more: false, data: [{ id: ids[0], version: 1 }] });
});

describe('rendering', () => {
  it('says what an email would say, in the version that is asked for', async () => {
    const id = await create();
    await postrider.api('PATCH', `/v1/templates/${id}`, { subject: 'Dear {{ name }}' });
    const render = (body: object) => other.api('POST', `/v1/templates/${id}/render`, body);
    expect((await render({ variables: { name: '<Ada>' } })).body).toEqual({
      object: 'rendered_template',
      subject: 'Dear <Ada>',
      html: '<p>Hi &lt;Ada&gt;</p>',
      text: 'Hi <Ada>',
      version: 2,
    });
    expect((await render({ variables: { name: 'Ada' }, version: 1 })).body).toMatchObject({
      subject: 'Hi Ada',
      version: 1,
    });
    expect(told(await render({ version: 3 }))).toEqual(['/version is not a version of it']);
    expect(told(await render({}))).toEqual(['/variables/name is missing']);
    expect(told(await render({ variables: { name: 'x'.repeat(270_000) } }))).toEqual([
      '/variables may be 262144 bytes as JSON',
    ]);
  });

  it('that takes too much is refused, and the next one is served', async () => {
    const id = await create({
      html: '{% for a in l %}{% for b in l %}{% for c in l %}x{% endfor %}{% endfor %}{% endfor %}',
    });
    const answer = await postrider.api('POST', `/v1/templates/${id}/render`, {
      variables: { name: 'x', l: Array(1_000).fill(1) },
    });
    expect(told(answer)[0]).toMatch(/^ its html (?:takes|makes) more /);
    expect((await postrider.api('GET', '/livez')).status).toBe(200);
  });
});
