/** Counts the scripts that Redis has run since it started. */
import type { Redis } from 'ioredis';

/** Without those that were not known to it: they are sent again. */
export async function scriptsRun(redis: Redis): Promise<number> {
  const stats = await redis.info('commandstats');
  return [...stats.matchAll(/cmdstat_eval(?:sha)?:calls=(\d+),.*?failed_calls=(\d+)/g)].reduce(
    (sum, [, calls, failed]) => sum + Number(calls) - Number(failed),
    0,
  );
}
