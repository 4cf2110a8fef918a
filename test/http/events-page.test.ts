/** GET /v1/events as pages: order, types, cursors, who sees what, and what is no longer there. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { emailIdOf, eventOf, type FeedWorld, openFeedWorld, transportEvent } from '../support/event-feed.ts';
import { type ApiClient, apiClient, type Body } from '../support/postrider.ts';

const opened = new AsyncDisposableStack();
let world: FeedWorld;
let api: ApiClient;
beforeAll(async () => {
  world = opened.use(await openFeedWorld());
  api = apiClient(world.url);
});
afterAll(() => opened.disposeAsync());
beforeEach(() => world.direct.flushall());

type Event = { readonly id: string; readonly cursor: string; readonly type: string };
type Page = Omit<Body, 'data'> & { readonly next: string | null; readonly data: readonly Event[] };

async function page(query = '', by = api): Promise<Page> {
  const { status, body } = await by('GET', `/v1/events${query}`);
  expect([status, body]).toMatchObject([200, { object: 'list' }]);
  return body as unknown as Page;
}

const idsIn = ({ data }: Page) => data.map(({ id }) => id);

/** Follows `next` to the end. */
async function readAll(query: string, by = api): Promise<{ ids: string[]; pages: Page[] }> {
  const pages: Page[] = [await page(`?${query}`, by)];
  for (let last = pages[0]; last?.has_more; last = pages.at(-1))
    pages.push(await page(`?${query}&after=${last.next}`, by));
  return { ids: pages.flatMap(idsIn), pages };
}

const [one, other] = [emailIdOf(1), emailIdOf(2)];

it('before anything has happened the feed is empty, and has no place yet', async () => {
  expect(await page()).toEqual({ object: 'list', has_more: false, next: null, data: [] });
  expect((await page('?after=0-0')).next).toBe('0-0');
});

it('an event in the feed equals that of a webhook, with its id and its place', async () => {
  await world.keep({
    id: one,
    from: { address: 'hello@example.com', name: 'Acme' },
    subject: 'Grüße',
    tags: [{ name: 'kind', value: 'receipt' }],
    metadata: { order: 7 },
    externalId: 'order-7',
  });
  const smtp = { code: 550, enhanced: '5.1.1', reply: '550 5.1.1 No such user' };
  const [cursor] = await world.add(
    eventOf(one, 2, { type: 'email.bounced', attempt: 1, transport: 'ses', smtp }),
    transportEvent(1),
  );
  const { data } = await page();
  const time = '2026-11-24T09:30:00.000Z';
  expect(data).toMatchObject([
    {
      ...{
        object: 'event',
        id: `ev_${one.slice(3)}_2`,
        cursor,
        type: 'email.bounced',
        timestamp: time,
        created_at: time,
      },
      data: {
        ...{ email_id: one, sequence: 2, from: 'hello@example.com', to: ['b@example.org'], subject: 'Grüße' },
        ...{ tags: { kind: 'receipt' }, metadata: { order: 7 }, external_id: 'order-7' },
        ...{ attempt: 1, transport: 'ses', smtp, reason: null, bounce: { message: smtp.reply } },
      },
    },
    { type: 'transport.degraded', data: { transport: 'ses', reason: 'ECONNREFUSED', cause: 'connect' } },
  ]);
});

it('pages follow one another without a gap or a repeat, and a new event comes after the last of them', async () => {
  const events = Array.from({ length: 25 }, (_, n) => eventOf(n % 2 === 0 ? one : other, n + 1));
  const cursors = await world.add(...events);
  const { ids, pages } = await readAll('limit=10');
  expect(ids).toEqual(events.map(({ id }) => id));
  expect(pages.map(({ data, has_more, next }) => [data.length, has_more, next])).toEqual([
    [10, true, cursors[9]],
    [10, true, cursors[19]],
    [5, false, cursors[24]],
  ]);
  expect(pages.flatMap(({ data }) => data.map(({ cursor }) => cursor))).toEqual(cursors);
  const end = pages.at(-1)?.next;
  expect(await page(`?after=${end}`)).toEqual({ object: 'list', has_more: false, next: end, data: [] });
  await world.add(eventOf(one, 99));
  expect(idsIn(await page(`?after=${end}`))).toEqual([eventOf(one, 99).id]);
});

it('a page that ends with the feed says so', async () => {
  await world.add(...[1, 2, 3].map((n) => eventOf(one, n)));
  expect(await page('?limit=3')).toMatchObject({ has_more: false, data: [{}, {}, {}] });
  expect((await readAll('limit=1&types=email.queued')).pages.map(({ has_more }) => has_more)).toEqual([
    true,
    true,
    false,
  ]);
});

describe('types', () => {
  beforeEach(() =>
    world.add(
      ...[eventOf(one, 1), eventOf(one, 2, { type: 'email.sent' }), eventOf(one, 3, { type: 'email.bounced' })],
      transportEvent(1),
    ),
  );

  it.each([
    ['types=email.sent', ['email.sent']],
    ['types=email.sent,transport.degraded', ['email.sent', 'transport.degraded']],
    ['types=email.sent&types=email.bounced,email.queued', ['email.queued', 'email.sent', 'email.bounced']],
    ['types=email.*', ['email.queued', 'email.sent', 'email.bounced']],
    ['types=transport.*', ['transport.degraded']],
  ])('%s', async (query, types) => {
    expect((await page(`?${query}`)).data.map(({ type }) => type)).toEqual(types);
  });

  it('without any event lead past the events that were looked at', async () => {
    const last = (await page()).next;
    expect(await page('?types=email.canceled')).toEqual({ object: 'list', has_more: false, next: last, data: [] });
  });
});

it('a search for rare events is cut short, still advances, and finds them', async () => {
  const many = Array.from({ length: 12_000 }, (_, n) => eventOf(one, n + 1));
  await world.add(...many, eventOf(one, 12_001, { type: 'email.bounced' }), eventOf(one, 12_002));
  const { ids, pages } = await readAll('types=email.bounced');
  expect(ids).toEqual([eventOf(one, 12_001).id]);
  expect(pages.map(({ data, has_more }) => [data.length, has_more])).toEqual([
    [0, true],
    [0, true],
    [1, false],
  ]);
});

it.each([
  ['types=email.seen,email.sent,cats', ['#/query/types/0', '#/query/types/2']],
  ['types=', ['#/query/types/0']],
  ['after=yesterday', ['#/query/after']],
  ['after=1-0&after=2-0', ['#/query/after']],
  [`after=${'9'.repeat(20)}-0`, ['#/query/after']],
  ['limit=0&types=x&after=-&since=1', ['#/query/after', '#/query/limit', '#/query/since', '#/query/types/0']],
  ['limit=1001', ['#/query/limit']],
])('%s is refused, with every fault', async (query, pointers) => {
  const { status, body } = await api('GET', `/v1/events?${query}`);
  expect([status, body.errors.map(({ pointer }) => pointer).toSorted()]).toEqual([422, pointers]);
});

it('a Last-Event-ID header that is not a place is refused too', async () => {
  expect(await api('GET', '/v1/events', undefined, { 'last-event-id': 'x' })).toMatchObject({
    status: 422,
    body: { errors: [{ pointer: '#/header/last-event-id' }] },
  });
});

describe('who may look', () => {
  it('is a key that may read', async () => {
    const { token } = await world.makeKey({ scopes: ['send', 'manage'] });
    expect(await apiClient(world.url, token)('GET', '/v1/events')).toMatchObject({
      status: 403,
      body: { name: 'restricted_api_key' },
    });
    expect((await apiClient(world.url, null)('GET', '/v1/events')).status).toBe(401);
  });

  it('a key with limits sees events of the emails it could have sent, page by page as well', async () => {
    const emails = [1, 2, 3, 4].map(emailIdOf);
    const [shop = '', shopBulk = '', foreign = '', gone = ''] = emails;
    await world.keep({ id: shop, from: { address: 'a@shop.example' } });
    await world.keep({ id: shopBulk, from: { address: 'b@shop.example' }, lane: 'bulk' });
    await world.keep({ id: foreign, from: { address: 'c@other.example' } });
    await world.add(...[1, 2, 3].flatMap((n) => [...emails.map((id) => eventOf(id, n)), transportEvent(n)]));
    const read = async (limits: Parameters<typeof world.makeKey>[0]) => {
      const { token } = await world.makeKey({ scopes: ['read'], ...limits });
      return (await readAll('limit=2', apiClient(world.url, token))).ids;
    };
    const of = (...ids: string[]) => [1, 2, 3].flatMap((n) => ids.map((id) => eventOf(id, n).id));
    expect(await read({ from_domains: ['shop.example'] })).toEqual(of(shop, shopBulk));
    expect(await read({ lanes: ['transactional'] })).toEqual(of(shop, foreign));
    expect(await read({ from_domains: ['shop.example'], lanes: ['bulk'] })).toEqual(of(shopBulk));
    expect(await read({ from_domains: ['example'] })).toEqual([]);
    expect(await read({})).toHaveLength(15);
    expect(of(gone)).toHaveLength(3);
  });
});

describe('a removed event', () => {
  it('gives a 410 if it was not read before; a reader starts again with the oldest event that is kept', async () => {
    const [first = '', second = '', third = '', fourth = ''] = await world.add(
      ...[1, 2, 3, 4].map((n) => eventOf(one, n)),
    );
    expect(await world.trim(third)).toBe(2);
    expect(await api('GET', `/v1/events?after=${first}`)).toMatchObject({
      status: 410,
      body: { name: 'cursor_expired' },
    });
    expect(await api('GET', '/v1/events?after=0-1&types=email.sent')).toMatchObject({ status: 410 });
    // Nothing that comes behind the second has been lost.
    expect(idsIn(await page(`?after=${second}`))).toEqual([3, 4].map((n) => eventOf(one, n).id));
    expect((await page()).next).toBe(fourth);
  });

  it('is no loss after it was read, even if it was the only one', async () => {
    const [, last = ''] = await world.add(eventOf(one, 1), eventOf(one, 2));
    const beyond = `${Number.parseInt(last, 10) + 1}-0`;
    expect(await world.trim(beyond)).toBe(2);
    expect(await world.trim(beyond)).toBe(0);
    expect(await page(`?after=${last}`)).toEqual({ object: 'list', has_more: false, next: last, data: [] });
    await world.add(eventOf(one, 3));
    expect(idsIn(await page(`?after=${last}`))).toEqual([eventOf(one, 3).id]);
  });
});

it('HEAD answers as GET would, without a body', async () => {
  expect(await api('HEAD', '/v1/events')).toMatchObject({ status: 200, body: '', headers: { vary: 'accept' } });
  const stream = await api('HEAD', '/v1/events', undefined, { accept: 'text/event-stream' });
  expect(stream).toMatchObject({ status: 200, headers: { 'content-type': 'text/event-stream' } });
});
