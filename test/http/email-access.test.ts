/** What a key with limits may do with emails: send, list, see and touch those within them, and learn nothing of the others. */
import type { Redis } from 'ioredis';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Answer, type ApiClient, apiClient, type Body, type Postrider } from '../support/postrider.ts';
import { usePostrider } from '../support/use-postrider.ts';

let redis: Redis;
let postrider: Postrider;
let admin: ApiClient;
usePostrider((own, server) => {
  postrider = own;
  redis = server.connect();
  admin = postrider.api;
});

const later = new Date(Date.now() + 3_600_000).toISOString();
const sooner = new Date(Date.now() + 1_800_000).toISOString();
const email = { from: 'a@other.example', to: 'b@example.org', subject: 'Hi', text: 'Hello', scheduled_at: later };

type Fields = Readonly<Record<string, unknown>>;
type Foreign = { readonly fields: Fields; readonly name: string; readonly pointer: string };

async function makeKey(limits: Fields): Promise<ApiClient> {
  const { status, body } = await admin('POST', '/v1/api-keys', { name: 'a key', ...limits });
  expect(status).toBe(201);
  return apiClient(postrider.url, body.token);
}

async function send(api: ApiClient, fields: Fields): Promise<string> {
  const { status, body } = await api('POST', '/v1/emails', { ...email, ...fields });
  expect([status, body]).toMatchObject([202, {}]);
  return body.id;
}

const idsIn = ({ data }: Body) => data.map(({ id }) => id);

async function list(api: ApiClient, query: string): Promise<Body> {
  const { status, body } = await api('GET', `/v1/emails?${query}`);
  expect(status).toBe(200);
  return body;
}

/** Each thing that is done with one email. Nothing failed, so there is nothing to retry: that is what a 409 says. */
const requests: readonly (readonly [
  method: 'GET' | 'HEAD' | 'PATCH' | 'POST',
  rest: string,
  body: unknown,
  own: number,
])[] = [
  ['GET', '', undefined, 200],
  ['HEAD', '', undefined, 200],
  ['GET', '/events', undefined, 200],
  ['GET', '/explain', undefined, 200],
  ['PATCH', '', { scheduled_at: sooner }, 200],
  ['POST', '/retry', undefined, 409],
  ['POST', '/cancel', undefined, 200],
];

const otherDomain = (from: string): Foreign => ({ fields: { from }, name: 'invalid_from_address', pointer: '/from' });
const otherLane = (fields: Fields): Foreign => ({ fields, name: 'restricted_api_key', pointer: '/lane' });

describe.each<{ limits: Fields; own: readonly Fields[]; foreign: readonly Foreign[] }>([
  {
    limits: { from_domains: ['shop.example', 'bücher.example'] },
    own: [
      { from: 'a@shop.example' },
      { from: 'Shop <A@SHOP.Example>', lane: 'bulk' },
      { from: { email: 'a@xn--bcher-kva.example', name: 'Bücher' } },
    ],
    foreign: [
      otherDomain('a@other.example'),
      otherDomain('a@sub.shop.example'),
      otherDomain('a@shop.example.other.example'),
      otherDomain('a@myshop.example'),
      otherDomain('"a@shop.example" <a@other.example>'),
      otherDomain('"a@shop.example"@other.example'),
    ],
  },
  {
    limits: { lanes: ['bulk'] },
    own: [{ lane: 'bulk' }, { lane: 'bulk', from: 'a@shop.example' }],
    foreign: [otherLane({}), otherLane({ lane: 'transactional' })],
  },
  {
    limits: { from_domains: ['shop.example'], lanes: ['transactional'] },
    own: [{ from: 'a@shop.example' }, { from: 'b@shop.example', lane: 'transactional' }],
    foreign: [otherLane({ from: 'a@shop.example', lane: 'bulk' }), otherDomain('a@other.example')],
  },
])('a key with $limits', ({ limits, own, foreign }) => {
  let api: ApiClient;
  let ownIds: string[];
  let foreignIds: string[];
  beforeAll(async () => {
    // So that lists hold the emails of this group only.
    await redis.flushall();
    api = await makeKey(limits);
    ownIds = [];
    foreignIds = [];
    // By turns, so that no page of a list is all of one kind.
    for (const [index, { fields }] of foreign.entries()) {
      foreignIds.push(await send(admin, fields));
      const mine = own[index];
      if (mine !== undefined) ownIds.push(await send(index === 0 ? admin : api, mine));
    }
    for (const fields of own.slice(foreign.length)) ownIds.push(await send(api, fields));
  });

  /** As a list has them: newest first, which is the order of ids. */
  const ownInOrder = () => ownIds.toSorted().toReversed();

  it.each(foreign)('sends none that is not within them: $fields', async ({ fields, name, pointer }) => {
    const foreignEmail = { ...email, ...fields };
    const before = idsIn(await list(admin, 'limit=100'));
    const expectRefusal = ({ status, body }: Answer, place: string) => {
      expect([status, body]).toMatchObject([403, { name }]);
      expect(body.errors).toEqual([
        { pointer: place, code: 'forbidden', message: expect.stringMatching(/^this key may not/) },
      ]);
    };
    expectRefusal(await api('POST', '/v1/emails', foreignEmail), pointer);
    const mine = { ...email, ...own[0] };
    expectRefusal(await api('POST', '/v1/emails/batch', [mine, foreignEmail]), `/1${pointer}`);
    expectRefusal(
      await api('POST', '/v1/emails/batch', { base: foreignEmail, messages: [{}] }),
      `/messages/0${pointer}`,
    );
    const overriding = { base: { lane: 'transactional', ...mine }, messages: [{ lane: 'transactional', ...fields }] };
    expectRefusal(await api('POST', '/v1/emails/batch', overriding), `/messages/0${pointer}`);
    expect(idsIn(await list(admin, 'limit=100'))).toEqual(before);
  });

  it('sends those of a permissive batch that are within them, and gets the faults of the others', async () => {
    const batch = [...foreign.map(({ fields }) => fields), ...own].map((fields) => ({ ...email, ...fields }));
    const { status, body } = await api('POST', '/v1/emails/batch', batch, { 'x-batch-validation': 'permissive' });
    expect(status).toBe(202);
    expect(body.errors).toEqual(
      foreign.map(({ pointer }, index) => ({
        index,
        message: expect.stringContaining(`/${index}${pointer}: this key may not`),
      })),
    );
    expect(body.data).toHaveLength(own.length);
    ownIds.push(...idsIn(body));
    expect(idsIn(await list(api, 'limit=100'))).toEqual(ownInOrder());
  });

  it('lists its own and no other, whatever it filters by, page by page', async () => {
    for (const query of ['limit=100', 'limit=100&status=scheduled', 'limit=100&to=b@example.org'])
      expect([query, idsIn(await list(api, query))]).toEqual([query, ownInOrder()]);
    const pages = [await list(api, 'limit=1')];
    for (let page = pages[0]; page?.has_more; page = pages.at(-1))
      pages.push(await list(api, `limit=1&after=${idsIn(page)[0]}`));
    expect(pages.flatMap(idsIn)).toEqual(ownInOrder());
    expect(idsIn(await list(admin, 'limit=100'))).toEqual(expect.arrayContaining(foreignIds));
  });

  it.each(requests)(
    'learns from %s …%s that a foreign email does not exist, and the email stays as it was',
    async (method, rest, body) => {
      const unknown = `em_${'0'.repeat(26)}`;
      const none = await api(method, `/v1/emails/${unknown}${rest}`, body);
      for (const id of foreignIds) {
        const before = (await admin('GET', `/v1/emails/${id}`)).body;
        const answer = await api(method, `/v1/emails/${id}${rest}`, body);
        expect(answer.status).toBe(404);
        // Word for word what is said of an email that never was.
        expect(JSON.stringify(answer.body).replaceAll(id, unknown)).toBe(JSON.stringify(none.body));
        expect((await admin('GET', `/v1/emails/${id}`)).body).toEqual(before);
      }
    },
  );

  it('sees and changes its own, whichever key sent it', async () => {
    for (const id of ownIds)
      for (const [method, rest, body, status] of requests)
        expect([method, rest, (await api(method, `/v1/emails/${id}${rest}`, body)).status]).toEqual([
          method,
          rest,
          status,
        ]);
  });
});

describe('a Message-ID', () => {
  const headers = { 'message-ID': '<order.17@shop.example>' };

  it('of its own is refused to a key that may not set it', async () => {
    const api = await makeKey({});
    const attempts: readonly (readonly [path: string, body: unknown, pointer: string])[] = [
      ['/v1/emails', { ...email, headers }, '/headers/message-ID'],
      ['/v1/emails/batch', [email, { ...email, headers }], '/1/headers/message-ID'],
      ['/v1/emails/batch', { base: { ...email, headers }, messages: [{}] }, '/messages/0/headers/message-ID'],
    ];
    for (const [path, body, pointer] of attempts)
      expect(await api('POST', path, body)).toMatchObject({
        status: 403,
        body: { name: 'restricted_api_key', errors: [{ pointer, message: 'this key may not set the Message-ID' }] },
      });
    expect(await api('POST', '/v1/emails', { ...email, headers: { 'X-Message-ID': 'x' } })).toMatchObject({
      status: 202,
    });
  });

  it('is taken from a key that may', async () => {
    const api = await makeKey({ allow_message_id: true });
    const id = await send(api, { headers });
    expect((await api('GET', `/v1/emails/${id}`)).body.message_id).toBe(headers['message-ID']);
    const { status, body } = await api('POST', '/v1/emails/batch', [{ ...email, headers }]);
    expect(status).toBe(202);
    expect((await api('GET', `/v1/emails/${body.data[0]?.id}`)).body.message_id).toBe(headers['message-ID']);
  });
});
