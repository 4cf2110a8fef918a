/** Tries of one event at one endpoint: how many there were and what the last one came to. */
import type { Redis } from 'ioredis';
import type { PostResult } from '../domain/post.ts';
import { keys } from './keys.ts';

export type Deliveries = ReturnType<typeof openDeliveries>;

/** Kept a day longer than the last try can come. */
const keepMs = 5 * 86_400_000;

export function openDeliveries(redis: Redis) {
  return {
    /** Tries so far. */
    async attempts(id: string): Promise<number> {
      return Number((await redis.hget(keys.delivery(id), 'attempts')) ?? 0);
    },

    async record(id: string, attempt: number, result: PostResult, at: number): Promise<void> {
      const write = redis.multi();
      write.hset(keys.delivery(id), { attempts: attempt, status: result.status, detail: result.detail ?? '', at });
      write.pexpire(keys.delivery(id), keepMs);
      await write.exec();
    },
  };
}
