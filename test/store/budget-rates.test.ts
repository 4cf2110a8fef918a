/** Rates in simulated time: how many go in which window, from the start, after a rest, under looks that come late, with clocks that jump. */
import fc from 'fast-check';
import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import type { Rate } from '../../src/domain/rate.ts';
import { type Budgets, openBudgets } from '../../src/store/budgets.ts';
import { keys } from '../../src/store/keys.ts';
import { ratesOf } from '../support/rates.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
let budgets: Budgets;
useTestRedis(async (server) => {
  redis = server.connect();
  await redis.config('SET', 'appendfsync', 'no');
  budgets = openBudgets(redis);
});

const start = 1_700_000_000_000;
const hourMs = 3_600_000;

let lastId = 0;
const emailAt = (now: number) =>
  ({ id: `em_${lastId++}`, lane: 'bulk', dueAt: now, endsAt: now + 1_000 * hourMs }) as const;

/** Parks so many, so that there is always somebody who waits. */
async function park(count: number): Promise<void> {
  await budgets.park(
    'ses',
    Array.from({ length: count }, () => emailAt(start)),
    start,
  );
}

/** Releases at `now` and sends what was released. @returns how many, and when to come again */
async function sendAt(now: number, rates: readonly Rate[]): Promise<{ sent: number; nextAt: number }> {
  const { released, nextAt } = await budgets.release('ses', rates, { max: 500 }, now);
  await redis.del(keys.permits('ses'));
  await redis.zremrangebyscore(keys.again('bulk'), '-inf', now);
  return { sent: released, nextAt: nextAt ?? Number.POSITIVE_INFINITY };
}

/** Comes whenever it was told to, `late(n)` after the time. @returns the times at which emails went */
async function run(
  rates: readonly Rate[],
  from: number,
  forMs: number,
  late: (n: number) => number,
): Promise<number[]> {
  const times: number[] = [];
  for (let n = 0, now = from; now < from + forMs; n++) {
    const { sent, nextAt } = await sendAt(now, rates);
    times.push(...Array.from({ length: sent }, () => now - from));
    now = Math.max(nextAt, now) + late(n);
  }
  return times;
}

/** The most that went in any window of this length, wherever it begins. */
function most(times: readonly number[], windowMs: number): number {
  return Math.max(0, ...times.map((from) => times.filter((at) => at >= from && at < from + windowMs).length));
}

describe('a rate per second', () => {
  it.each([1, 2, 3, 5, 7, 14, 50, 200])(
    '%i/s: no more over the first ten seconds, a fiftieth over any others, looked at in time or late',
    async (count) => {
      const rates = [{ count, windowMs: 1_000 }];
      for (const lateMs of [0, 3, 20]) {
        await redis.flushall();
        await park(count * 15 + count);
        const times = await run(rates, start, 15_000, (n) => (n * 7) % (lateMs + 1));
        const first = times.filter((at) => at < 10_000);
        expect(first.length, `${lateMs} ms late at most`).toBeGreaterThanOrEqual(count * 10 * 0.95);
        // No more than its rate at the start but for what goes together, and what was late is made up for later.
        for (const ms of [1_000, 5_000, 10_000])
          expect(times.filter((at) => at < ms).length, `in ${ms} ms, ${lateMs} late`).toBeLessThanOrEqual(
            (count * (ms + (count < 40 ? 0 : 50))) / 1_000 + (count < 40 ? 0 : 1),
          );
        expect(most(times, 10_000), `${lateMs} ms late at most`).toBeLessThanOrEqual(count * 10 * 1.015 + 1);
      }
    },
  );

  it('does not save up while no mail waits: after a rest it goes on as at the start', async () => {
    const rates = ratesOf('10/s');
    await park(500);
    const first = await run(rates, start, 1_000, () => 0);
    const second = await run(rates, start + hourMs, 1_000, () => 0);
    expect(second.length).toBe(first.length);
    expect(first.length).toBe(10);
  });

  it('that the brake made a fraction lets one go in its time, and the usual pace comes back at once', async () => {
    await park(100);
    const slow = await run([{ count: 0.25, windowMs: 1_000 }], start, 20_000, () => 0);
    expect(slow).toEqual([0, 4_000, 8_000, 12_000, 16_000]);
    expect(await run(ratesOf('10/s'), start + 20_000, 1_000, () => 0)).toHaveLength(11);
  });

  it('is not locked up by a clock that was put back, and is not exceeded by clocks that differ a little', async () => {
    const rates = ratesOf('1/s');
    await park(100);
    expect((await sendAt(start, rates)).sent).toBe(1);
    expect((await sendAt(start - 900, rates)).sent).toBe(0);
    expect((await sendAt(start - hourMs, rates)).sent).toBe(1);
  });
});

describe('a quota', () => {
  it('may be used at once, and comes back part by part as its window passes', async () => {
    const rates = ratesOf('120/m');
    await park(400);
    const times: number[] = [];
    for (let n = 0; n < 60; n++)
      times.push(...(await run(rates, start + n * 50, 50, () => 0)).map((at) => at + n * 50));
    expect(times).toHaveLength(120);
    expect(Math.max(...times)).toBeLessThan(3_000);
    const { sent, nextAt } = await sendAt(start + 30_000, rates);
    expect(sent).toBe(0);
    expect(nextAt).toBe(start + 61_000);
    expect((await sendAt(start + 60_999, rates)).sent).toBe(0);
    expect((await sendAt(start + 61_000, rates)).sent).toBeGreaterThan(0);
  });

  it('never lets more go in any window, whenever mail comes; and over a long time nearly all of it', async () => {
    const steps = fc.array(
      fc.record({ waitMs: fc.integer({ min: 0, max: 20_000 }), count: fc.integer({ min: 1, max: 40 }) }),
      {
        minLength: 30,
        maxLength: 60,
      },
    );
    await fc.assert(
      fc.asyncProperty(steps, async (asked) => {
        await redis.flushall();
        const rates = ratesOf('50/m');
        const times: number[] = [];
        let now = start;
        for (const { waitMs, count } of asked) {
          now += waitMs;
          const emails = Array.from({ length: count }, () => emailAt(now));
          const may = await budgets.admit('ses', rates, emails, now);
          times.push(...may.filter(Boolean).map(() => now));
          await redis.del(keys.parked('ses', 'bulk'));
        }
        expect(most(times, 60_000)).toBeLessThanOrEqual(50);
        const wanted = asked.reduce((sum, { count }) => sum + count, 0);
        if (wanted > times.length) expect(most(times, 61_000)).toBeGreaterThanOrEqual(50);
      }),
      { numRuns: 30 },
    );
  });

  it('is kept together with others: a refusal by one uses up none', async () => {
    const rates = ratesOf('100/s,30/m,50/h');
    await park(100);
    expect(
      await budgets.admit(
        'other',
        rates,
        Array.from({ length: 60 }, () => emailAt(start)),
        start,
      ),
    ).toEqual(Array.from({ length: 60 }, (_, n) => n < 6));
    await redis.del(keys.parked('other', 'bulk'));
    const later = Array.from({ length: 60 }, () => emailAt(start + 1_000));
    expect((await budgets.admit('other', rates, later, start + 1_000)).filter(Boolean)).toHaveLength(6);
    await redis.del(keys.parked('other', 'bulk'));
    const slower = ratesOf('30/m,50/h');
    expect((await budgets.admit('other', slower, later, start + 1_000)).filter(Boolean)).toHaveLength(18);
    await redis.del(keys.parked('other', 'bulk'));
    const hour = Array.from({ length: 60 }, () => emailAt(start + 70_000));
    expect((await budgets.admit('other', ratesOf('50/h'), hour, start + 70_000)).filter(Boolean)).toHaveLength(20);
  });

  it('is given back late without more in any window for that', async () => {
    const rates = ratesOf('60/m');
    const admitted = async (count: number, now: number) => {
      await redis.del(keys.parked('ses', 'bulk'));
      const emails = Array.from({ length: count }, () => emailAt(now));
      return (await budgets.admit('ses', rates, emails, now)).filter(Boolean).length;
    };
    expect(await admitted(10, start)).toBe(10);
    expect(await admitted(50, start + 30_000)).toBe(50);
    await budgets.giveBack('ses', rates, { count: 10, since: start }, start + 30_000);
    expect(await admitted(20, start + 30_000)).toBe(10);
    expect(await admitted(20, start + 89_999)).toBe(0);
    expect(await admitted(100, start + 91_000)).toBe(60);
  });

  it('is given back where mail was not sent, and comes back in one window when a clock was put back', async () => {
    const rates = ratesOf('100/s,5/d');
    const all = (now: number) => Array.from({ length: 5 }, () => emailAt(now));
    const admitted = async (now: number) => {
      await redis.del(keys.parked('ses', 'bulk'));
      return (await budgets.admit('ses', rates, all(now), now)).filter(Boolean).length;
    };
    expect(await admitted(start)).toBe(5);
    await budgets.giveBack('ses', rates, { count: 4, since: start }, start);
    expect(await admitted(start + 1_001)).toBe(4);
    expect(await admitted(start + 2_000)).toBe(0);
    const putBack = start - 100 * 24 * hourMs;
    expect(await admitted(putBack)).toBe(0);
    await budgets.giveBack('ses', rates, { count: 1, since: putBack }, putBack);
    expect(await admitted(putBack)).toBe(1);
    expect(await admitted(putBack + 25 * hourMs)).toBe(5);
  });
});
