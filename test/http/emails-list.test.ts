/** GET /v1/emails: newest first, filtered, in pages that can be turned both ways. */
import { describe, expect, it } from 'vitest';
import { readOpenApi } from '../support/openapi.ts';
import type { Body, Postrider } from '../support/postrider.ts';
import { usePostrider } from '../support/use-postrider.ts';

let postrider: Postrider;
/** Every email there is, newest first. */
let all: Body[];

const later = new Date(Date.now() + 3_600_000).toISOString();

async function list(query: string) {
  const { status, body } = await postrider.api('GET', `/v1/emails${query}`);
  expect(status).toBe(200);
  return body;
}

async function idsOf(query: string): Promise<string[]> {
  return (await list(query)).data.map(({ id }) => id);
}

usePostrider(async (own) => {
  postrider = own;
  const messages = Array.from({ length: 25 }, (_, n) => ({
    to: [`Reader <r${n % 5}@Example.ORG>`, 'Everybody@example.org', ...(n === 1 ? ['ren\u00e9@example.org'] : [])],
    ...(n % 2 === 0 ? { tags: [{ name: 'kind', value: 'even' }] } : { tags: [{ name: 'kind', value: '' }] }),
    ...(n % 10 === 0 ? { external_id: `order ${n / 10}/ü` } : {}),
    ...(n % 3 === 0 ? { scheduled_at: later } : {}),
  }));
  const base = { from: 'a@example.com', subject: 's', text: 't' };
  // In several requests, so that they are made at several times.
  for (let from = 0; from < messages.length; from += 5)
    await postrider.api('POST', '/v1/emails/batch', { base, messages: messages.slice(from, from + 5) });
  all = [...(await list('?limit=100')).data];
  await postrider.api('POST', `/v1/emails/${all[0]?.id}/cancel`);
  all = [...(await list('?limit=100')).data];
});

describe('the list', () => {
  it('is newest first, 20 at a time by default, and says whether there is more', async () => {
    expect(all).toHaveLength(25);
    expect(all.map(({ id }) => id)).toEqual(
      all
        .map(({ id }) => id)
        .toSorted()
        .toReversed(),
    );
    expect(await list('')).toEqual({ object: 'list', has_more: true, data: all.slice(0, 20) });
    expect(await list('?limit=24')).toMatchObject({ has_more: true });
    expect(await list('?limit=25')).toMatchObject({ has_more: false });
  });

  it('is turned page by page, there and back, and says at each end that there is no more', async () => {
    const pages: Body[] = [await list('?limit=10')];
    for (let page = pages[0]; page?.has_more; page = pages.at(-1))
      pages.push(await list(`?limit=10&after=${page.data.at(-1)?.id}`));
    expect(pages.map(({ data, has_more }) => [data.length, has_more])).toEqual([
      [10, true],
      [10, true],
      [5, false],
    ]);
    expect(pages.flatMap(({ data }) => data)).toEqual(all);
    const back = [await list(`?limit=10&before=${all[20]?.id}`), await list(`?limit=10&before=${all[10]?.id}`)];
    expect(back).toMatchObject([{ has_more: true }, { has_more: false }]);
    expect(back.map(({ data }) => data)).toEqual([all.slice(10, 20), all.slice(0, 10)]);
    expect(await list(`?before=${all[0]?.id}`)).toMatchObject({ has_more: false, data: [] });
    expect(await list(`?after=${all[24]?.id}`)).toMatchObject({ has_more: false, data: [] });
  });

  it.each<[string, (email: Body) => boolean]>([
    ['status=scheduled', ({ status }) => status === 'scheduled'],
    ['status=queued', ({ status }) => status === 'queued'],
    ['status=canceled', ({ status }) => status === 'canceled'],
    ['status=sent', () => false],
    ['to=r3@example.org', (email) => toOf(email).includes('r3@')],
    ['to=Somebody%20%3Cr3@EXAMPLE.org%3E', (email) => toOf(email).includes('r3@')],
    ['to=everybody@example.org', () => true],
    ['to=EVERYbody@example.org', () => true],
    [`to=${encodeURIComponent('rene\u0301@example.org')}`, (email) => toOf(email).includes('ren\u00e9@')],
    ['to=nobody', () => false],
    ['tag=kind:even', (email) => tagOf(email) === 'even'],
    ['tag=kind:', (email) => tagOf(email) === ''],
    ['tag=kind:odd', () => false],
    [`external_id=${encodeURIComponent('order 1/ü')}`, ({ external_id }) => external_id === 'order 1/ü'],
    [
      'tag=kind:even&status=queued&to=r2@example.org',
      (email) => tagOf(email) === 'even' && email.status === 'queued' && toOf(email).includes('r2@'),
    ],
  ])('filtered by %s has what fits', async (filter, fits) => {
    expect(await idsOf(`?limit=100&${filter}`)).toEqual(all.filter(fits).map(({ id }) => id));
  });

  it('is bounded by the very times that its emails show', async () => {
    const times = [...new Set(all.map(({ created_at }) => created_at))];
    expect(times.length).toBeGreaterThan(2);
    for (const time of times) {
      const at = encodeURIComponent(time);
      expect(await idsOf(`?limit=100&created_after=${at}`)).toEqual(
        all.filter(({ created_at }) => created_at > time).map(({ id }) => id),
      );
      expect(await idsOf(`?limit=100&created_before=${at}`)).toEqual(
        all.filter(({ created_at }) => created_at < time).map(({ id }) => id),
      );
      const short = encodeURIComponent(time.replace('Z', '+0000'));
      expect(await idsOf(`?limit=100&created_after=${short}`)).toEqual(await idsOf(`?limit=100&created_after=${at}`));
      expect(await idsOf(`?limit=100&created_before=${short}`)).toEqual(await idsOf(`?limit=100&created_before=${at}`));
    }
  });

  it.each([
    ['status=nonsense', '#/query/status'],
    ['status=sending', '#/query/status'],
    ['limit=0', '#/query/limit'],
    ['limit=101', '#/query/limit'],
    ['limit=ten', '#/query/limit'],
    ['tag=kind', '#/query/tag'],
    ['created_after=yesterday', '#/query/created_after'],
    ['after=em_1', '#/query/after'],
    ['subject=s', '#/query/subject'],
    ['to=a@x.co&to=b@x.co', '#/query/to'],
  ])('with %s is refused, which must not look like a list of everything', async (query, pointer) => {
    const { status, body } = await postrider.api('GET', `/v1/emails?${query}`);
    expect([status, body.errors.map((fault) => fault.pointer)]).toEqual([422, [pointer]]);
  });

  it('with both after and before is refused', async () => {
    const [id] = all.map((email) => email.id);
    const { status, body } = await postrider.api('GET', `/v1/emails?after=${id}&before=${id}`);
    expect([status, body.errors[0]]).toMatchObject([
      422,
      { pointer: '#/query/before', message: 'must not be given together with after' },
    ]);
  });
});

function toOf(email: Body): string {
  return (email as unknown as { to: string[] }).to.join();
}

function tagOf(email: Body): string | undefined {
  return (email as unknown as { tags: { value: string }[] }).tags[0]?.value;
}

it('no filter but the status goes with campaign_id: another would look like one that matches everything', async () => {
  const values: Readonly<Record<string, string>> = {
    to: 'a@example.org',
    tag: 'kind:even',
    external_id: 'order',
    created_after: later,
    created_before: later,
  };
  const { parameters = [] } = readOpenApi().paths['/v1/emails']?.get ?? {};
  const filters = parameters.filter((parameter) => parameter.in === 'query').map(({ name }) => name);
  const others = filters.filter((name) => !['limit', 'after', 'before', 'status', 'campaign_id'].includes(name));
  expect(others).toEqual(Object.keys(values));
  for (const name of others) {
    const query = `campaign_id=cm_0&${name}=${encodeURIComponent(values[name] ?? '')}`;
    const { status, body } = await postrider.api('GET', `/v1/emails?${query}`);
    expect([status, body.errors]).toMatchObject([422, [{ message: 'cannot be combined with campaign_id' }]]);
  }
});
