/** What waits to be posted, endpoint by endpoint. */
import type { Redis } from 'ioredis';

export type Posts = ReturnType<typeof openPosts>;

export function openPosts(_redis: Redis) {
  return {
    /** Since when no POST to these endpoints succeeded, milliseconds since the epoch; null where the last one did. */
    failingSince: async (ids: readonly string[]): Promise<(number | null)[]> => ids.map(() => null),
  };
}
