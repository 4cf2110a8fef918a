/** The suppression list over a real Redis. */
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { makeId } from '../../src/domain/id.ts';
import type { Suppression } from '../../src/domain/suppression.ts';
import { keys } from '../../src/store/keys.ts';
import { openSuppressions, type Suppressions } from '../../src/store/suppressions.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
let list: Suppressions;
useTestRedis((server) => {
  redis = server.connect();
  list = openSuppressions(redis);
});

let clock = 1_700_000_000_000;
function suppression(address: string, given: Partial<Suppression> = {}): Suppression {
  const id = makeId('sp', clock++, randomBytes(10));
  return { id, address, scope: 'all', reason: 'manual', emailId: null, note: null, ...given };
}

it('bulk mail finds suppressions of both scopes, the wider one first; transactional mail only those for all mail', async () => {
  const [wide, bulk, both] = [suppression('a@x.co'), suppression('b@x.co', { scope: 'bulk' }), suppression('c@x.co')];
  const narrow = suppression('c@x.co', { scope: 'bulk', reason: 'unsubscribe' });
  expect(await list.add([wide, bulk, both, narrow])).toBe(4);
  const asked = ['a@x.co', 'b@x.co', 'c@x.co', 'd@x.co'];
  expect([...(await list.find(asked, 'transactional')).values()].toSorted(byId)).toEqual([wide, both]);
  expect([...(await list.find(asked, 'bulk')).values()].toSorted(byId)).toEqual([wide, bulk, both]);
  expect(await list.get('C@X.co')).toEqual([both, narrow]);
  expect(await list.find([], 'bulk')).toEqual(new Map());
});

const byId = (a: Suppression, b: Suppression) => (a.id < b.id ? -1 : 1);

it('an address that is there stays as it is, and is counted as no new one', async () => {
  const first = suppression('a@x.co', { emailId: 'em_1', note: 'said "no"' });
  expect(await list.add([first])).toBe(1);
  expect(await list.add([suppression('a@x.co'), suppression('a@x.co', { scope: 'bulk' })])).toBe(1);
  expect((await list.get('a@x.co'))[0]).toEqual(first);
});

const weakestFirst = ['bounce', 'manual', 'complaint', 'unsubscribe'] as const;
const pairs = weakestFirst.flatMap((one) => weakestFirst.map((other) => [one, other] as const));

it.each(pairs)('of %s and then %s for one address and scope, the stronger one stands alone', async (before, after) => {
  const first = suppression('a@x.co', { scope: 'bulk', reason: before, note: '"id":"sp_0", "reason":"bounce"' });
  const second = suppression('a@x.co', { scope: 'bulk', reason: after, emailId: 'em_2' });
  await list.add([first]);
  const isStronger = weakestFirst.indexOf(after) > weakestFirst.indexOf(before);
  expect(await list.add([second])).toBe(isStronger ? 1 : 0);
  const [stands, gone] = isStronger ? [second, first] : [first, second];
  expect(await list.get('a@x.co')).toEqual([stands]);
  expect((await list.page({ limit: 10 }, {})).page).toEqual([stands]);
  expect((await list.page({ limit: 10 }, { reasons: [stands.reason] })).page).toEqual([stands]);
  expect([await list.byId(stands.id), await list.byId(gone.id)]).toEqual([stands, null]);
  expect(await list.remove(gone)).toBe(false);
  expect(await list.remove(stands)).toBe(true);
  expect(await redis.dbsize()).toBe(0);
});

it('of two that are added at once, the reader is heard, whichever comes first', async () => {
  const asked = Array.from({ length: 40 }, (_, n) => {
    const pair = (['manual', 'unsubscribe'] as const).map((reason) => suppression(`a${n}@x.co`, { reason }));
    return n % 2 ? pair : pair.toReversed();
  });
  await Promise.all(asked.flat().map((one) => list.add([one])));
  for (const n of asked.keys()) expect(await list.get(`a${n}@x.co`)).toMatchObject([{ reason: 'unsubscribe' }]);
  expect(await redis.zcard(keys.suppressionIds)).toBe(40);
});

it('what takes the place of an entry while a list is read is listed for its own reason alone', async () => {
  const [manual, unsubscribe] = [suppression('a@x.co'), suppression('a@x.co', { reason: 'unsubscribe' })];
  const late: typeof redis.hmget = async (name: string, ...fields: unknown[]) => {
    await list.add([unsubscribe]);
    return redis.hmget(name, ...(fields as string[]));
  };
  const overtaken = openSuppressions(Object.assign(Object.create(redis), { hmget: late }));
  for (const [filter, listed] of [
    [{ reasons: ['manual'] as const }, []],
    [{}, [unsubscribe]],
  ] as const) {
    await redis.flushall();
    await list.add([manual]);
    expect((await overtaken.page({ limit: 10 }, filter)).page).toEqual(listed);
  }
});

it('an entry that is replaced while all are read is read all the same', async () => {
  const all = Array.from({ length: 1_500 }, (_, n) => suppression(`a${n}@x.co`));
  await list.add(all);
  const unsubscribe = suppression('a0@x.co', { reason: 'unsubscribe' });
  const read: Suppression[] = [];
  for await (const one of list.all()) {
    if (read.length === 0) await list.add([unsubscribe]);
    read.push(one);
  }
  expect(read).toEqual([...all.slice(1).toReversed(), unsubscribe]);
});

it('a removed suppression is gone from every list; one that replaced it meanwhile stays', async () => {
  const [first, second] = [suppression('a@x.co'), suppression('a@x.co')];
  await list.add([first]);
  expect(await list.remove(second)).toBe(false);
  expect(await list.get('a@x.co')).toEqual([first]);
  expect(await list.remove(first)).toBe(true);
  expect(await list.remove(first)).toBe(false);
  expect(await list.get('a@x.co')).toEqual([]);
  expect(await redis.dbsize()).toBe(0);
});

it('more than a round trip holds are added, paged and read as a whole, newest first', async () => {
  const all = Array.from({ length: 2_500 }, (_, n) =>
    suppression(`a${n}@x.co`, { scope: n % 2 ? 'all' : 'bulk', reason: n % 5 ? 'manual' : 'complaint' }),
  );
  expect(await list.add(all)).toBe(2_500);
  const newest = all.toReversed();
  const read: Suppression[] = [];
  for await (const one of list.all()) read.push(one);
  expect(read).toEqual(newest);
  const first = await list.page({ limit: 100 }, {});
  expect(first).toEqual({ page: newest.slice(0, 100), hasMore: true, next: newest[99]?.id });
  const second = await list.page({ limit: 100, after: first.page.at(-1)?.id }, {});
  expect(second.page).toEqual(newest.slice(100, 200));
  expect((await list.page({ limit: 100, before: second.page[0]?.id }, {})).page).toEqual(first.page);
  const wanted = newest.filter(({ scope, reason }) => scope === 'all' && reason === 'complaint');
  const { page, hasMore } = await list.page({ limit: 250 }, { scope: 'all', reasons: ['complaint'] });
  expect([page, hasMore]).toEqual([wanted.slice(0, 250), false]);
});

it('while looking for rare ones a page reads a limited number, and says where to continue, in both directions', async () => {
  const few = openSuppressions(redis, 40);
  const all = Array.from({ length: 205 }, (_, n) =>
    suppression(`a${n}@x.co`, { reason: n % 100 === 50 ? 'complaint' : 'manual' }),
  );
  await list.add(all);
  const rare = all.filter(({ reason }) => reason === 'complaint').toReversed();
  for (const side of ['after', 'before'] as const) {
    const found: Suppression[] = [];
    const counts: number[] = [];
    let cursor = side === 'after' ? undefined : all[0]?.id;
    do {
      const { page, hasMore, next } = await few.page({ limit: 10, [side]: cursor }, { reasons: ['complaint'] });
      found.push(...page);
      counts.push(page.length);
      expect(hasMore).toBe(next !== null);
      cursor = next ?? undefined;
    } while (cursor !== undefined);
    expect(found).toEqual(side === 'after' ? rare : rare.toReversed());
    expect(counts).toHaveLength(6);
  }
  const [newest, oldest] = rare;
  const first = await few.page({ limit: 1, after: all[151]?.id }, { reasons: ['complaint'] });
  expect([first.page, first.next]).toEqual([[newest], all[111]?.id]);
  expect((await list.page({ limit: 1 }, { reasons: ['complaint'] })).hasMore).toBe(true);
  expect(await list.page({ limit: 1, after: newest?.id }, { reasons: ['complaint'] })).toEqual({
    page: [oldest],
    hasMore: false,
    next: null,
  });
});
