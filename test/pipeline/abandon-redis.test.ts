/** abandon-redis: when a stop gives up what waits for a Redis that is away. */
import { expect, it } from 'vitest';
import { abandonRedis, type Stop } from '../../src/pipeline/abandon-redis.ts';

/** Looks once a second. @returns the second in which it gave up; null when it did not within a minute */
async function givenUpAt(redis: (second: number) => boolean, emails: readonly string[], timeoutMs = 20_000) {
  const stop: Stop = { silentSince: null, endsAt: timeoutMs, isGivenUp: false };
  for (let second = 0; second < 60; second += 1) {
    const ping = async () => redis(second);
    const hands = { emails: new Set(emails), posts: 0 };
    await abandonRedis({ ping, unsaved: hands, cut() {}, now: () => second * 1_000 }, stop);
    if (stop.isGivenUp) return second;
  }
  return null;
}

it('a stop of any length gives up nothing while Redis answers', async () => {
  expect(await givenUpAt(() => true, [])).toBeNull();
  expect(await givenUpAt(() => true, ['em_1'])).toBeNull();
});

it('with nothing in hand, a stop waits for an absent Redis as long as a failover may take', async () => {
  expect(await givenUpAt(() => false, [])).toBe(2);
  expect(await givenUpAt((second) => second % 2 === 0, [])).toBeNull();
});

it('with an answer in hand that is not stored, a stop waits for Redis until its end', async () => {
  expect(await givenUpAt(() => false, ['em_1'])).toBe(20);
  expect(await givenUpAt((second) => second > 10, ['em_1'])).toBeNull();
  expect(await givenUpAt((second) => second < 30, ['em_1'])).toBe(32);
});

it('Redis does not count as away while this process is too busy to ask or to read the answer', async () => {
  let now = 0;
  const hands = { emails: new Set<string>(), posts: 0 };
  const stop: Stop = { silentSince: null, endsAt: 20_000, isGivenUp: false };
  const look = (answers: boolean, afterMs: number) => {
    const ping = async () => {
      now += afterMs;
      return answers;
    };
    return abandonRedis({ ping, unsaved: hands, cut() {}, now: () => now }, stop);
  };
  await look(true, 5_000);
  expect(stop.isGivenUp).toBe(false);
  now += 5_000;
  await look(false, 1_000);
  expect(stop.isGivenUp).toBe(false);
  await look(false, 1_000);
  expect(stop.isGivenUp).toBe(true);
});
