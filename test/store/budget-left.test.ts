/** What is left of a transport's rates, as whoever looks at it is told. */
import { expect, it } from 'vitest';
import type { Rate } from '../../src/domain/rate.ts';
import { type Budgets, openBudgets } from '../../src/store/budgets.ts';
import { useTestRedis } from '../support/use-redis.ts';

let budgets: Budgets;
useTestRedis((server) => {
  const redis = server.connect();
  budgets = openBudgets(redis);
});

const hour = 3_600_000;
/** The beginning of a sixtieth of an hour. */
const now = 1_700_000_040_000;
const slow: Rate = { count: 2, windowMs: 1_000 };
const hourly: Rate = { count: 5, windowMs: hour };

async function send(name: string, rates: readonly Rate[], count: number, at: number) {
  const emails = Array.from({ length: count }, (_, n) => ({ id: `${at}-${n}`, lane: 'bulk', dueAt: at }) as const);
  const asked = emails.map((email) => ({ ...email, endsAt: at + 24 * hour }));
  return (await budgets.admit(name, rates, asked, at)).filter(Boolean).length;
}

it('all is left while nothing was used', async () => {
  expect(await budgets.left('new', [], now)).toEqual([]);
  expect(await budgets.left('new', [slow, hourly], now)).toEqual([
    { ...slow, remaining: null, nextAt: expect.any(Number), resetAt: null },
    { ...hourly, remaining: 5, nextAt: now, resetAt: null },
  ]);
  const [pace] = await budgets.left('new', [slow], now);
  expect(pace?.nextAt).toBeLessThan(now);
});

it('a quota says what is left, when the first of it comes back, and when all of it does', async () => {
  expect(await send('ses', [hourly], 3, now)).toBe(3);
  expect(await budgets.left('ses', [hourly], now)).toEqual([
    { ...hourly, remaining: 2, nextAt: now, resetAt: now + hour + 60_000 },
  ]);
  expect(await send('ses', [hourly], 3, now + 120_000)).toBe(2);
  const used = { ...hourly, remaining: 0, nextAt: now + hour + 60_000, resetAt: now + hour + 180_000 };
  expect(await budgets.left('ses', [hourly], now + 120_000)).toEqual([used]);
  expect(await budgets.left('ses', [hourly], used.nextAt - 1)).toEqual([used]);
  expect(await budgets.left('ses', [hourly], used.nextAt)).toEqual([{ ...used, remaining: 3, nextAt: used.nextAt }]);
  await budgets.giveBack('ses', [hourly], { count: 1, since: now + 120_000 }, now + 120_000);
  expect(await budgets.left('ses', [hourly], now + 120_000)).toMatchObject([{ remaining: 1 }]);
  expect(await budgets.left('ses', [{ ...hourly, count: 2 }], now + 120_000)).toMatchObject([{ remaining: 0 }]);
});

it('a pace says when the next may go; looking takes nothing', async () => {
  expect(await send('paced', [slow], 1, now)).toBe(1);
  const [pace] = await budgets.left('paced', [slow], now);
  expect(await budgets.left('paced', [slow], now)).toEqual([pace]);
  expect(pace?.nextAt).toBeGreaterThan(now);
  expect(await send('paced', [slow], 1, (pace?.nextAt ?? 0) - 1)).toBe(0);
  expect(await budgets.release('paced', [slow], { max: 5 }, pace?.nextAt ?? 0)).toMatchObject({ released: 1 });
});

it('the smaller of two rates for one window is reported', async () => {
  const left = await budgets.left('two', [hourly, { ...hourly, count: 3 }], now);
  expect(left).toMatchObject([{ count: 3, remaining: 3 }]);
});
