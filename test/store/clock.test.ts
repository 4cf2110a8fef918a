/** The clock of a real Redis, as a process reads it. */
import { expect, it } from 'vitest';
import { openClock } from '../../src/store/clock.ts';
import { openTestRedis } from '../support/redis.ts';

it('the quickest of several readings counts, and Redis read its clock half-way through it', async () => {
  await using server = await openTestRedis();
  const redis = server.connect();
  const shown = async () => {
    const [seconds, micros] = (await redis.time()).map(Number) as [number, number];
    return seconds * 1_000 + micros / 1_000;
  };
  // When each look is asked and answered, by a clock that stands still meanwhile.
  const steady = [0, 900, 1_000, 1_300, 2_000, 2_010, 3_000, 3_800, 4_000, 4_200];
  const before = await shown();
  const { aheadMs, roundTripMs } = await openClock(redis, () => steady.shift() ?? 0).read();
  const after = await shown();
  expect([roundTripMs, steady]).toEqual([10, []]);
  expect(aheadMs + 2_005).toBeGreaterThanOrEqual(before);
  expect(aheadMs + 2_005).toBeLessThanOrEqual(after);
});
