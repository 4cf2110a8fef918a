/** The bell: each script that stores a due email rings it, so that an idle worker wakes at once. */
import type { Redis } from 'ioredis';
import { keys } from './keys.ts';
import { waitOn } from './redis.ts';

/** Lua: rings. A bell that has rung and was not heard yet stays as it is. */
export const ringBell = `
local function ringBell(bell)
  if redis.call('LLEN', bell) == 0 then redis.call('LPUSH', bell, 1) end
end
`;

/** Shortest timeout: Redis before 7.0.8 takes 1 ms, and every Redis takes 0, for a wait without end (redis#11687). */
const leastWaitMs = 2;

export type Bell = ReturnType<typeof openBell>;

/** @param blocking a connection of its own: a wait blocks it */
export function openBell(blocking: Redis) {
  return {
    /** Waits for a ring, at most `waitMs`; `stop` ends the wait. A ring wakes one worker; several rings before that count as one. */
    async heard(waitMs: number, stop: AbortSignal): Promise<void> {
      await waitOn(blocking, stop, () => blocking.blpop(keys.bell, Math.max(leastWaitMs, waitMs) / 1_000));
    },
    async [Symbol.asyncDispose](): Promise<void> {
      blocking.disconnect();
    },
  };
}
