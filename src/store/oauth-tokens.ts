/** Sealed tokens from token servers, shared by all processes: refresh tokens that replace configured ones, access tokens, and the turns. */
import type { Redis } from 'ioredis';
import { seal, unseal } from '../domain/secret-box.ts';
import { keys } from './keys.ts';
import { script } from './redis.ts';

/** A refresh token is kept this long after its last use: an account unused for a year no longer exists. */
const keepMs = 365 * 86_400_000;
/** An access token is kept at most this long, also when its server lets it live longer. */
const mostShareMs = 86_400_000;

/** A refresh token that replaced another, and when it was given: always later than the one before it, whatever the clocks say. */
type Given = { readonly token: string; readonly at: number };

/**
 * KEYS token; ARGV new value, how long it is kept, expected old value ('' for none): another value stays. The first write is one that a full
 * Redis accepts: the new token must be stored, because the old one may be used up.
 */
const keepScript = script(`
local stands = redis.call('GET', KEYS[1]) or ''
if stands == ARGV[1] or stands ~= ARGV[3] then return end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])`);

/** KEYS turn; ARGV owner, for how long. Answers 1 when the owner has the turn. Works in a full Redis as well. */
const takeScript = script(`
local whose = redis.call('GET', KEYS[1])
if whose then return whose == ARGV[1] and 1 or 0 end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`);

/** KEYS turn or token; ARGV the expected value: after a lapse the key may belong to another process. */
const removeScript = script(`if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end`);

/** KEYS token; ARGV value, for how long. Works in a full Redis as well. */
const shareScript = script(`
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])`);

/** KEYS token. Answers the value and how long it is still kept. */
const sharedScript = script(`
local stands = redis.call('GET', KEYS[1])
return stands and {stands, redis.call('PTTL', KEYS[1])}`);

/** @param secretKey 32 bytes; @param newIv 12 fresh random bytes at each call, which also make turns unique */
export function openRefreshTokens(redis: Redis, secretKey: Uint8Array, newIv: () => Uint8Array) {
  /** The time follows the sealed text, where versions that do not know it ignore it; 0 when there is none. */
  function read(text: string | null): Given | null {
    const token = unsealed(text, secretKey);
    const [, , , at = '0'] = text?.split('.') ?? [];
    return token === null ? null : { token, at: Number(at) };
  }

  return {
    /** @returns null when none was given yet, or it was sealed with another key */
    newest: async (account: string): Promise<Given | null> =>
      read(await redis.getex(keys.refreshToken(account), 'PX', keepMs)),

    /** Stores the token unless the stored one was given later, to another process. */
    async keep(account: string, { token, at }: Given): Promise<void> {
      const name = keys.refreshToken(account);
      const stands = await redis.get(name);
      if ((read(stands)?.at ?? -1) >= at) return;
      await keepScript(redis, [name], [`${seal(token, secretKey, newIv())}.${at}`, keepMs, stands ?? '']);
    },

    /**
     * The right to request a token for the account, which one process has at a time; null while another process has it.
     * @param forMs after this the turn ends by itself, for instance when the process died
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
    /** @returns null when no token is valid now, or it was sealed with another key */
    async shared(account: string): Promise<{ readonly token: string; readonly leftMs: number } | null> {
      const answer = (await sharedScript(redis, [keys.accessToken(account)], [])) as [string, number] | null;
      const token = unsealed(answer?.[0] ?? null, secretKey);
      return answer === null || token === null ? null : { token, leftMs: answer[1] };
    },

    async share(account: string, token: string, forMs: number): Promise<void> {
      const ms = Math.ceil(Math.min(forMs, mostShareMs));
      await shareScript(redis, [keys.accessToken(account)], [seal(token, secretKey, newIv()), ms]);
    },

    /** Removes this token, so that no process takes it; another token stays. */
    async drop(account: string, token: string): Promise<void> {
      const name = keys.accessToken(account);
      const stands = await redis.get(name);
      if (stands !== null && unsealed(stands, secretKey) === token) await removeScript(redis, [name], [stands]);
    },
  };
}

/** Also null when it was sealed with another key. */
function unsealed(sealed: string | null, secretKey: Uint8Array): string | null {
  if (sealed === null) return null;
  try {
    return unseal(sealed, secretKey);
  } catch {
    return null;
  }
}
