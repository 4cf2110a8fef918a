/** Reports of Redis: what it guarantees, its clock, and whether it can be reached. */

import { maskAddresses } from '../domain/address.ts';
import { worthTellingMs } from '../domain/clock.ts';
import type { RedisStanding } from '../domain/redis-standing.ts';
import type { Log } from './log.ts';
import type { Meters } from './meters.ts';

export function makeRedisReports(log: Log, meters: Pick<Meters, 'clockDifference'>) {
  return {
    /** The start waits for Redis. @param why Redis cannot be reached; null while it is only loading its data */
    awaited(why: string | null, url: string | undefined): void {
      const fields = { error: why === null ? undefined : maskAddresses(why), answers_at: url };
      if (why === null) log.warn(fields, 'Redis loads its data, or does not answer yet: the start waits for it');
      else log.warn(fields, 'Redis cannot be reached: the start waits for it');
    },

    redis({ server, guarantee, words, isSound, unfit }: RedisStanding): void {
      const fields = { server, guarantee, words };
      if (unfit !== null) log.error(fields, 'Redis does not meet the requirements');
      else if (isSound) log.info(fields, 'Redis');
      else log.warn(fields, 'Redis is not set up as it should be');
    },

    /** @param differenceMs how far the clock of this machine is ahead of Redis' clock */
    clock(differenceMs: number, isNews: boolean): void {
      meters.clockDifference(differenceMs);
      if (!isNews) return;
      const fields = { difference_ms: Math.round(differenceMs) };
      if (Math.abs(differenceMs) <= worthTellingMs)
        log.info(fields, 'the clock of this machine agrees with that of Redis again');
      else
        log.warn(
          fields,
          'the clock of this machine differs from that of Redis, which Postrider uses: correct the one that is wrong',
        );
    },

    /** @param why Redis cannot be reached; null when it can be again */
    reach(why: string | null): void {
      if (why === null) log.info({}, 'Redis is back');
      else log.error({ error: maskAddresses(why) }, 'Redis is away');
    },
  };
}
