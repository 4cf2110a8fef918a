/** The clock of Redis: the one that all processes share. */
import type { Redis } from 'ioredis';
import type { ClockReading } from '../domain/clock.ts';

/**
 * Lua: the time, in milliseconds since the epoch. A command may wait for long while Redis is away, or be sent again: a time that came with it
 * would be over by then.
 */
export const redisClock = `
local function redisNow()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
`;

/** Of so many looks the quickest counts: one that waited for a busy process or network says little. */
const looks = 5;

export type Clock = ReturnType<typeof openClock>;

/** @param steadyNow a clock that never goes back, whatever it counts from */
export function openClock(redis: Redis, steadyNow: () => number) {
  async function look(): Promise<ClockReading> {
    const askedAt = steadyNow();
    const [seconds, micros] = (await redis.time()).map(Number) as [number, number];
    const roundTripMs = steadyNow() - askedAt;
    return { aheadMs: seconds * 1_000 + micros / 1_000 - (askedAt + roundTripMs / 2), roundTripMs };
  }

  return {
    async read(): Promise<ClockReading> {
      let best = await look();
      for (let n = 1; n < looks; n += 1) {
        const next = await look();
        if (next.roundTripMs < best.roundTripMs) best = next;
      }
      return best;
    },
  };
}
