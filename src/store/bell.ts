/** The bell: rung by whoever stores an email that is due, so that a worker which has nothing to do hears of it at once. */
import type { Redis } from 'ioredis';
import { keys } from './keys.ts';
import { waitOn } from './redis.ts';

/** To Redis before 7.0.8 a millisecond, as 0 to any, is a wait without an end (redis#11687). */
const leastWaitMs = 2;

export type Bell = ReturnType<typeof openBell>;

/** @param blocking a connection of its own, as a wait holds it */
export function openBell(blocking: Redis) {
  return {
    /** Waits until it is rung, for `waitMs` at most; `stop` ends the wait. One ring wakes one worker, and only until then is it heard once. */
    async heard(waitMs: number, stop: AbortSignal): Promise<void> {
      await waitOn(blocking, stop, () => blocking.blpop(keys.bell, Math.max(leastWaitMs, waitMs) / 1_000));
    },
    async [Symbol.asyncDispose](): Promise<void> {
      blocking.disconnect();
    },
  };
}
