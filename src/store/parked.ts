/** The mail that is parked, as the whole fleet sees it: for which transports, by which routings, how much, and where one email stands. */
import type { Redis } from 'ioredis';
import { type Lane, lanes } from '../domain/lane.ts';
import { keys } from './keys.ts';

/** A routing that no worker noted for this long is in use no more. Workers note theirs each second, and their clocks differ by less than five. */
const routingGoneMs = 10_000;

export function openParked(redis: Redis) {
  return {
    /** The transports that mail is parked for. */
    parkedFor: (): Promise<string[]> => redis.smembers(keys.parkedFor),

    /**
     * Notes the routing that a worker has.
     * @param routing its hash
     * @returns the hashes of those that none has any more, by which mail may still be parked
     */
    async noteRouting(routing: string, now: number): Promise<string[]> {
      await redis.zadd(keys.routings, now, routing);
      return redis.zrangebyscore(keys.routings, '-inf', now - routingGoneMs);
    },

    /** No mail is parked by these any more. A worker that has one after all notes it again. */
    async forgetRoutings(routings: readonly string[]): Promise<void> {
      if (routings.length > 0) await redis.zrem(keys.routings, ...routings);
    },

    /** Since when an email is parked (milliseconds since the epoch) and how many of its lane go before it; null when it is not parked. */
    async whereParked(name: string, id: string, lane: Lane): Promise<{ since: number; ahead: number } | null> {
      const parked = keys.parked(name, lane);
      const [since, ahead] = await Promise.all([redis.zscore(parked, id), redis.zrank(parked, id)]);
      return since === null || ahead === null ? null : { since: Number(since), ahead };
    },

    /** How many emails are parked. Emails that were canceled or moved meanwhile count until a release finds them. One round trip. */
    async countParked(names: readonly string[]): Promise<Map<string, Record<Lane, number>>> {
      const counts = names.map(async (name): Promise<[string, Record<Lane, number>]> => {
        const [transactional, bulk] = await Promise.all(lanes.map((lane) => redis.zcard(keys.parked(name, lane))));
        return [name, { transactional: transactional ?? 0, bulk: bulk ?? 0 }];
      });
      return new Map(await Promise.all(counts));
    },
  };
}
