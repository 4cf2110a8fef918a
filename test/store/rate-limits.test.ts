/** Counted requests: all windows or none, and a window that ends gives its count back. */
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { keys } from '../../src/store/keys.ts';
import { openRateLimits, type RateLimits } from '../../src/store/rate-limits.ts';
import { until } from '../support/until.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
let limits: RateLimits;
useTestRedis((server) => {
  redis = server.connect();
  limits = openRateLimits(redis);
});

const perHour = { count: 3, windowMs: 3_600_000 };

it('a request that one window refuses is counted in none', async () => {
  const perDay = { count: 10, windowMs: 86_400_000 };
  for (const left of [2, 1, 0])
    expect(await limits.take([{ keyId: 'ak_a', rates: [perHour, perDay] }])).toMatchObject({
      isAllowed: true,
      windows: [{ ...perHour, remaining: left }, { remaining: left + 7 }],
    });
  for (let n = 0; n < 5; n++) {
    const taken = await limits.take([{ keyId: 'ak_a', rates: [perHour, perDay] }]);
    expect(taken).toMatchObject({ isAllowed: false, windows: [{ remaining: 0 }, { remaining: 7 }] });
    expect(taken.windows[0]?.resetMs).toBeGreaterThan(3_590_000);
  }
  expect(await limits.take([{ keyId: 'ak_a', rates: [perDay] }])).toMatchObject({
    isAllowed: true,
    windows: [{ remaining: 6 }],
  });
});

it('each key has a count of its own, and a hundred requests at once are counted exactly', async () => {
  const taken = await Promise.all(
    Array.from({ length: 200 }, (_, n) =>
      limits.take([{ keyId: `ak_${n % 2}`, rates: [{ count: 70, windowMs: 3_600_000 }] }]),
    ),
  );
  expect(taken.filter(({ isAllowed }) => isAllowed)).toHaveLength(140);
});

it('a window ends by itself, and the next has the whole count', async () => {
  const perSecond = { count: 1, windowMs: 1_000 };
  expect((await limits.take([{ keyId: 'ak_b', rates: [perSecond] }])).isAllowed).toBe(true);
  expect(await limits.take([{ keyId: 'ak_b', rates: [perSecond, perHour] }])).toMatchObject({
    isAllowed: false,
    windows: [{ remaining: 0 }, { remaining: 3, resetMs: 3_600_000 }],
  });
  await until('the next window', async () => (await limits.take([{ keyId: 'ak_b', rates: [perSecond] }])).isAllowed);
});

it('a window from before the clock of Redis was put back is over', async () => {
  const asked = [{ keyId: 'ak_c', rates: [{ count: 1, windowMs: 60_000 }] }];
  expect((await limits.take(asked)).isAllowed).toBe(true);
  expect((await limits.take(asked)).isAllowed).toBe(false);
  await redis.pexpire(keys.rateLimit('ak_c', 60_000), 3_600_000);
  const taken = await limits.take(asked);
  expect(taken.isAllowed).toBe(true);
  expect(taken.windows[0]?.resetMs).toBeLessThanOrEqual(60_000);
});

it('a request counts in the rates of several keys, or in none of them', async () => {
  const [own, above] = [
    { keyId: 'ak_own', rates: [{ count: 5, windowMs: 3_600_000 }] },
    { keyId: 'ak_above', rates: [perHour] },
  ];
  expect(await limits.take([own, above])).toMatchObject({ windows: [{ remaining: 4 }, { remaining: 2 }] });
  for (let n = 0; n < 2; n++) await limits.take([above]);
  expect(await limits.take([own, above])).toMatchObject({
    isAllowed: false,
    windows: [{ remaining: 4 }, { remaining: 0 }],
  });
});
