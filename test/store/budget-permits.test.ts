/** Permits of released mail and the quota that their tokens are of: each token is used once, or given back to where it was taken. */
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { type Budgets, type DueEmail, openBudgets } from '../../src/store/budgets.ts';
import { keys } from '../../src/store/keys.ts';
import { scriptsRun } from '../support/scripts-run.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
let budgets: Budgets;
useTestRedis((server) => {
  redis = server.connect();
  budgets = openBudgets(redis);
});

const now = 1_700_000_000_000;
const most = { max: 500 };

function email(id: string): DueEmail {
  return { id, lane: 'transactional', dueAt: now, endsAt: now + 86_400_000 };
}

const quota = [{ count: 60, windowMs: 3_600_000 }];
const minute = [{ count: 60, windowMs: 60_000 }];
const left = async (at: number) => (await budgets.left('ses', quota, at))[0]?.remaining;

it('a permit is found by its email, and void at once when it is given up: the next goes, and a quota has its token back', async () => {
  await budgets.park('ses', [email('a'), email('b'), email('c')], now);
  expect(await budgets.release('ses', quota, most, now)).toMatchObject({ released: 2, left: 1 });
  const permits = await budgets.permits(['ses', 'other'], ['x', 'b', 'a']);
  expect(permits.map(({ transport, id }) => [transport, id])).toEqual([
    ['ses', 'b'],
    ['ses', 'a'],
  ]);
  expect(await budgets.permits(['ses'], [])).toEqual([]);
  expect(await budgets.release('ses', quota, most, now + 1)).toMatchObject({ released: 0 });
  const before = await scriptsRun(redis);
  await Promise.all(permits.map((permit) => budgets.voidPermit(permit, quota, now + 1)));
  expect((await scriptsRun(redis)) - before).toBe(1);
  expect(await left(now + 1)).toBe(60);
  expect(await budgets.release('ses', quota, most, now + 1)).toMatchObject({ released: 1, left: 0 });
});

it('a permit that was used, or that came after the one given up, stays as it is', async () => {
  await budgets.park('ses', [email('a'), email('b')], now);
  await budgets.release('ses', quota, most, now);
  const permits = await budgets.permits(['ses'], ['a', 'b']);
  expect(await budgets.admit('ses', quota, [email('a')], now)).toEqual([true]);
  await budgets.park('ses', [email('b')], now, quota);
  await budgets.release('ses', quota, most, now + 1);
  for (const permit of permits) await budgets.voidPermit(permit, quota, now + 1);
  expect(await left(now + 1)).toBe(58);
  expect(await budgets.permits(['ses'], ['a', 'b'])).toEqual([{ transport: 'ses', id: 'b', lapsesAt: now + 60_001 }]);
});

it('a permit counts when it is used, and there its token is given back when the message did not go', async () => {
  await budgets.park('ses', [email('a')], now);
  await budgets.release('ses', quota, most, now);
  // In the next of the 60 parts of the window.
  const later = now + 50_000;
  const others = Array.from({ length: 59 }, (_, n) => email(`e${n}`));
  expect(await budgets.admit('ses', quota, [...others, email('a')], later)).not.toContain(false);
  // A window that begins with the later part has all of them.
  expect(await left(later + 3_599_999)).toBe(0);
  await budgets.giveBack('ses', quota, { count: 1, since: later }, later);
  expect(await left(later + 3_599_999)).toBe(1);
});

it('a permit that has lapsed by the time its email comes gives its token back: the email takes one, as all others', async () => {
  await budgets.park('ses', [email('a')], now);
  await budgets.release('ses', quota, most, now);
  expect(await budgets.admit('ses', quota, [email('a')], now + 60_000)).toEqual([true]);
  expect(await left(now + 60_000)).toBe(59);
});

it.each<[string, (at: number) => Promise<unknown>]>([
  ['is given up', (at) => budgets.voidPermit({ transport: 'ses', id: 'a', lapsesAt: now + 60_000 }, quota, at)],
  ['is void as its email is parked again', (at) => budgets.park('ses', [email('a')], at, quota)],
  ['is void as its email leaves the transport', (at) => budgets.unpark('ses', quota, at)],
  ['has lapsed', (at) => budgets.release('ses', quota, most, at)],
])('a permit that %s gives its token back, and no window has more than its count for that', async (_, end) => {
  await budgets.park('ses', [email('a')], now);
  await budgets.release('ses', quota, most, now);
  const later = now + 1_800_000;
  const others = Array.from({ length: 59 }, (_, n) => email(`e${n}`));
  expect(await budgets.admit('ses', quota, others, later)).not.toContain(false);
  await end(later);
  await redis.del(keys.parked('ses', 'transactional'));
  expect(await budgets.admit('ses', quota, [email('last')], later)).toEqual([true]);
  expect(await left(later + 3_599_999)).toBe(0);
  expect(await left(later + 3_660_000)).toBe(60);
});

it.each<[string, (at: number) => Promise<unknown>]>([
  ['a permit that lapsed', (at) => budgets.release('ses', minute, most, at)],
  ['a message that did not go', (at) => budgets.giveBack('ses', minute, { count: 1, since: now }, at)],
])(
  'the token of %s is not given back after its window: it would be one that others have used since',
  async (_, end) => {
    await budgets.park('ses', [email('a')], now);
    await budgets.release('ses', minute, most, now);
    const others = Array.from({ length: 10 }, (_, n) => email(`e${n}`));
    expect(await budgets.admit('ses', minute, others, now + 30_000)).not.toContain(false);
    await end(now + 62_000);
    expect((await budgets.left('ses', minute, now + 62_000))[0]?.remaining).toBe(50);
  },
);
