/** Rate limits: requests counted in Redis, so that all processes share one count. */
import type { Redis } from 'ioredis';
import type { KeyRates } from '../domain/api-key.ts';
import type { WindowLeft } from '../domain/rate.ts';
import { keys } from './keys.ts';
import { script } from './redis.ts';

export type RateLimits = ReturnType<typeof openRateLimits>;

type Taken = { readonly isAllowed: boolean; readonly windows: readonly WindowLeft[] };

/**
 * KEYS one counter for each window; ARGV for each its count and its milliseconds. A window opens with the first request it counts, and ends as
 * its counter expires. One that has more time left than a window lasts is from before the clock of Redis was put back, and ends. Answers
 * whether there was room in all of them, then for each how many are counted and the milliseconds it has left. A request that is refused is
 * counted nowhere.
 */
const takeScript = script(`
local allowed = 1
local answer = { 0 }
for i, key in ipairs(KEYS) do
  if redis.call('PTTL', key) > tonumber(ARGV[i * 2]) then redis.call('DEL', key) end
  local used = tonumber(redis.call('GET', key) or '0')
  if used >= tonumber(ARGV[i * 2 - 1]) then allowed = 0 end
  answer[i * 2] = used
end
for i, key in ipairs(KEYS) do
  if allowed == 1 then
    answer[i * 2] = redis.call('INCR', key)
    if answer[i * 2] == 1 then redis.call('PEXPIRE', key, ARGV[i * 2]) end
  end
  answer[i * 2 + 1] = redis.call('PTTL', key)
end
answer[1] = allowed
return answer`);

export function openRateLimits(redis: Redis) {
  return {
    /** Takes one request from each of the windows, or from none when one of them is used up. */
    async take(all: readonly KeyRates[]): Promise<Taken> {
      const rates = all.flatMap((one) => one.rates);
      const counters = all.flatMap(({ keyId, rates }) => rates.map(({ windowMs }) => keys.rateLimit(keyId, windowMs)));
      const args = rates.flatMap(({ count, windowMs }) => [count, windowMs]);
      const [allowed, ...numbers] = (await takeScript(redis, counters, args)) as number[];
      const windows = rates.map((rate, i): WindowLeft => {
        const [used = 0, leftMs = 0] = numbers.slice(i * 2, i * 2 + 2);
        // A window that no request has opened yet has no counter, and its whole time ahead.
        return { ...rate, remaining: rate.count - used, resetMs: leftMs < 0 ? rate.windowMs : leftMs };
      });
      return { isAllowed: allowed === 1, windows };
    },
  };
}
