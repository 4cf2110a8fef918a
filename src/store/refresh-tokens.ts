/** The refresh tokens that token servers gave in place of configured ones, sealed, for every process and over restarts. */
import type { Redis } from 'ioredis';
import { seal, unseal } from '../domain/secret-box.ts';
import { keys } from './keys.ts';
import { script } from './redis.ts';

/** From the last time that it was read or given: what nobody uses for a year is of an account that is no more. */
const keepMs = 365 * 86_400_000;

/** KEYS token; ARGV what is kept, for how long. The first write is one that a full Redis takes: the one before may be used up. */
const keepScript = script(`
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])`);

/** @param secretKey 32 bytes; @param newIv 12 fresh random bytes at each call */
export function openRefreshTokens(redis: Redis, secretKey: Uint8Array, newIv: () => Uint8Array) {
  return {
    /** @returns null where none was given yet, or it was sealed with another key */
    async newest(account: string): Promise<string | null> {
      const sealed = await redis.getex(keys.refreshToken(account), 'PX', keepMs);
      if (sealed === null) return null;
      try {
        return unseal(sealed, secretKey);
      } catch {
        return null;
      }
    },

    async keep(account: string, refreshToken: string): Promise<void> {
      await keepScript(redis, [keys.refreshToken(account)], [seal(refreshToken, secretKey, newIv()), keepMs]);
    },
  };
}
