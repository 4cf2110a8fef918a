/** The clock of Redis, which all processes share. */
import type { Redis } from 'ioredis';
import type { ClockReading } from '../domain/clock.ts';

/**
 * Lua: the time, in milliseconds since the epoch. Not an argument: a command may wait long while Redis is away, or be sent again, and its
 * time would then be old.
 */
export const redisClock = `
local function redisNow()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
`;

/** Of this many readings the quickest counts: a reading that waited for a busy process or network is inexact. */
const looks = 5;

export type Clock = ReturnType<typeof openClock>;

/** @param steadyNow a clock that never goes back, from any starting point */
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
