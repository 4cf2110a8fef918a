/** The refresh tokens that token servers gave in place of configured ones, sealed, for every process and over restarts; and whose turn it is to use one. */
import type { Redis } from 'ioredis';
import { seal, unseal } from '../domain/secret-box.ts';
import { keys } from './keys.ts';
import { script } from './redis.ts';

/** From the last time that it was read or given: what nobody uses for a year is of an account that is no more. */
const keepMs = 365 * 86_400_000;

/**
 * KEYS token; ARGV what is kept, for how long, what stood there ('' for nothing): what stands there since stays. The first write is one that a
 * full Redis takes: the one before may be used up.
 */
const keepScript = script(`
local stands = redis.call('GET', KEYS[1]) or ''
if stands == ARGV[1] or stands ~= ARGV[3] then return end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])`);

/** KEYS turn; ARGV whose it is to be, for how long. Answers 1 when it is; in a full Redis as well. */
const takeScript = script(`
local whose = redis.call('GET', KEYS[1])
if whose then return whose == ARGV[1] and 1 or 0 end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`);

/** KEYS turn; ARGV whose it was: one that lapsed may be another's. */
const endScript = script(`if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end`);

/** @param secretKey 32 bytes; @param newIv 12 fresh random bytes at each call, which tell turns apart as well */
export function openRefreshTokens(redis: Redis, secretKey: Uint8Array, newIv: () => Uint8Array) {
  /** Null as well where it was sealed with another key. */
  function unsealed(sealed: string | null): string | null {
    if (sealed === null) return null;
    try {
      return unseal(sealed, secretKey);
    } catch {
      return null;
    }
  }

  return {
    /** @returns null where none was given yet, or it was sealed with another key */
    newest: async (account: string): Promise<string | null> =>
      unsealed(await redis.getex(keys.refreshToken(account), 'PX', keepMs)),

    /** Keeps it where none stands, or one of those it came in place of: another one is of a process that was given it since, and stays. */
    async keep(account: string, refreshToken: string, inPlaceOf: readonly string[]): Promise<void> {
      const name = keys.refreshToken(account);
      const stands = await redis.get(name);
      const token = unsealed(stands);
      if (token !== null && !inPlaceOf.includes(token)) return;
      await keepScript(redis, [name], [seal(refreshToken, secretKey, newIv()), keepMs, stands ?? '']);
    },

    /**
     * The right to ask for a token with the account, which one process has at a time; null while another has it.
     * @param forMs after this it is over by itself, as where a process died
     */
    async takeTurn(account: string, forMs: number): Promise<{ end(): Promise<void> } | null> {
      const [name, own] = [keys.refreshTurn(account), Buffer.from(newIv()).toString('base64url')];
      if ((await takeScript(redis, [name], [own, forMs])) !== 1) return null;
      return { end: async () => void (await endScript(redis, [name], [own])) };
    },
  };
}
