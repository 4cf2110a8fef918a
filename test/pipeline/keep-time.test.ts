/** keep-time: that a machine's clock is another than that of a real Redis is told once, again when it differs otherwise, and when that is mended. */
import { expect, it } from 'vitest';
import { makeFleetClock } from '../../src/chance.ts';
import { keepTime } from '../../src/pipeline/keep-time.ts';
import { openClock } from '../../src/store/clock.ts';
import { openTestRedis } from '../support/redis.ts';

it('a clock that differs is reported once, again when the difference changes, and when the clocks agree again', async () => {
  await using server = await openTestRedis();
  const steadyNow = () => performance.now();
  let aheadMs = 0;
  // Redis runs on this machine: they agree but for what is added here.
  const ownNow = () => Date.now() + aheadMs;
  const told: number[] = [];
  const report = (differenceMs: number, isNews: boolean) => {
    if (isNews) told.push(Math.round(differenceMs / 1_000));
  };
  const fleetClock = makeFleetClock(ownNow, steadyNow);
  const deps = { clock: openClock(server.connect(), steadyNow), fleetClock, ownNow, told: { ms: 0 }, report };
  for (const next of [0, 20_000, 20_900, 24_000, -600_000, -600_000, 0, 0]) {
    aheadMs = next;
    await keepTime(deps);
  }
  expect(told).toEqual([20, 24, -600, 0]);
});
