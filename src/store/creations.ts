/** What is created, or done once, under an Idempotency-Key: made the same again as long as its answer may have been lost, secret included. */
import { createHmac } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { IdempotencyClaim } from './email-create.ts';
import { keys } from './keys.ts';

export type Creation = {
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** 32 bytes that nobody can guess. They are derived, so that no secret has to be kept for a repeat. */
  readonly secret: Uint8Array;
  readonly isRepeat: boolean;
  /** It was stored once, and may have been taken away since. */
  readonly isDone: boolean;
  /** What was noted when it was. */
  readonly note: string;
};

export type Creations = ReturnType<typeof openCreations>;

const idempotencyMs = 24 * 3_600_000;
const done = 'done';

/** @param secretKey 32 bytes */
export function openCreations(redis: Redis, secretKey: Uint8Array) {
  return {
    /**
     * Claims the key for `fresh`, or finds what it was claimed for. A process that dies before `end` leaves it to the repeat to store the
     * same once more. Null when the key came with another body.
     */
    async begin({ scope, bodyHash }: IdempotencyClaim, fresh: { id: string; now: number }): Promise<Creation | null> {
      const name = keys.idempotency(scope);
      const ours = [bodyHash, fresh.id, fresh.now].join(' ');
      const isOurs = (await redis.set(name, ours, 'PX', idempotencyMs, 'NX')) === 'OK';
      const stored = isOurs ? ours : ((await redis.get(name)) ?? ours);
      const [hash = '', id = '', createdAt = '', state, note = ''] = stored.split(' ');
      if (hash !== bodyHash) return null;
      const secret = createHmac('sha256', secretKey).update(`creation ${scope} ${bodyHash} ${id}`).digest();
      return { id, createdAt: Number(createdAt), secret, isRepeat: !isOurs, isDone: state === done, note };
    },

    /** Notes that it is stored, unless the key is over by now: what is taken away later does not come back by a repeat. @param note a word to find there then */
    async end({ scope, bodyHash }: IdempotencyClaim, { id, createdAt }: Creation, note = ''): Promise<void> {
      await redis.set(keys.idempotency(scope), [bodyHash, id, createdAt, done, note].join(' '), 'KEEPTTL', 'XX');
    },

    /** It came to nothing: the key is free again. */
    async giveUp({ scope }: IdempotencyClaim): Promise<void> {
      await redis.del(keys.idempotency(scope));
    },
  };
}
