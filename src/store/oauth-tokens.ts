/** The tokens that token servers gave, sealed, for every process: refresh tokens in place of configured ones, over restarts, access tokens until they end; and whose turn it is to ask. */
import type { Redis } from 'ioredis';
import { seal, unseal } from '../domain/secret-box.ts';
import { keys } from './keys.ts';
import { script } from './redis.ts';

/** From the last time that it was read or given: what nobody uses for a year is of an account that is no more. */
const keepMs = 365 * 86_400_000;
/** Of an access token that its server lets live for longer, another is asked for. */
const mostShareMs = 86_400_000;

/** A refresh token that was given in place of another, and when: each later than the one before it, whatever the clocks say. */
type Given = { readonly token: string; readonly at: number };

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

/** KEYS turn or token; ARGV what stood there: one that lapsed or ended may be another's. */
const removeScript = script(`if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end`);

/** KEYS token; ARGV what is shared, for how long; in a full Redis as well. */
const shareScript = script(`
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])`);

/** KEYS token. Answers what is shared, and for how long still. */
const sharedScript = script(`
local stands = redis.call('GET', KEYS[1])
return stands and {stands, redis.call('PTTL', KEYS[1])}`);

/** @param secretKey 32 bytes; @param newIv 12 fresh random bytes at each call, which tell turns apart as well */
export function openRefreshTokens(redis: Redis, secretKey: Uint8Array, newIv: () => Uint8Array) {
  /** The time stands behind the seal, where whoever knows of none passes over it; 0 where there is none. */
  function read(text: string | null): Given | null {
    const token = unsealed(text, secretKey);
    const [, , , at = '0'] = text?.split('.') ?? [];
    return token === null ? null : { token, at: Number(at) };
  }

  return {
    /** @returns null where none was given yet, or it was sealed with another key */
    newest: async (account: string): Promise<Given | null> =>
      read(await redis.getex(keys.refreshToken(account), 'PX', keepMs)),

    /** Keeps it where none stands, or one that was given before: a later one is of a process that was given it since, and stays. */
    async keep(account: string, { token, at }: Given): Promise<void> {
      const name = keys.refreshToken(account);
      const stands = await redis.get(name);
      if ((read(stands)?.at ?? -1) >= at) return;
      await keepScript(redis, [name], [`${seal(token, secretKey, newIv())}.${at}`, keepMs, stands ?? '']);
    },

    /**
     * The right to ask for a token with the account, which one process has at a time; null while another has it.
     * @param forMs after this it is over by itself, as where a process died
     */
    async takeTurn(account: string, forMs: number): Promise<{ end(): Promise<void> } | null> {
      const [name, own] = [keys.refreshTurn(account), Buffer.from(newIv()).toString('base64url')];
      if ((await takeScript(redis, [name], [own, forMs])) !== 1) return null;
      return { end: async () => void (await removeScript(redis, [name], [own])) };
    },
  };
}

/** @param secretKey 32 bytes; @param newIv 12 fresh random bytes at each call */
export function openAccessTokens(redis: Redis, secretKey: Uint8Array, newIv: () => Uint8Array) {
  return {
    /** @returns null where none is good now, or it was sealed with another key */
    async shared(account: string): Promise<{ readonly token: string; readonly leftMs: number } | null> {
      const answer = (await sharedScript(redis, [keys.accessToken(account)], [])) as [string, number] | null;
      const token = unsealed(answer?.[0] ?? null, secretKey);
      return answer === null || token === null ? null : { token, leftMs: answer[1] };
    },

    async share(account: string, token: string, forMs: number): Promise<void> {
      const ms = Math.ceil(Math.min(forMs, mostShareMs));
      await shareScript(redis, [keys.accessToken(account)], [seal(token, secretKey, newIv()), ms]);
    },

    /** Nobody takes it from now on; another one stays. */
    async drop(account: string, token: string): Promise<void> {
      const name = keys.accessToken(account);
      const stands = await redis.get(name);
      if (stands !== null && unsealed(stands, secretKey) === token) await removeScript(redis, [name], [stands]);
    },
  };
}

/** Null as well where it was sealed with another key. */
function unsealed(sealed: string | null, secretKey: Uint8Array): string | null {
  if (sealed === null) return null;
  try {
    return unseal(sealed, secretKey);
  } catch {
    return null;
  }
}
