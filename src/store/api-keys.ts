/** API keys, stored under the hash of their token. Each look-up is one command, so a revocation counts at once in all processes. */
import type { Redis } from 'ioredis';
import type { ApiKey } from '../domain/api-key.ts';
import { type CreationMark, storedOnce } from './creations.ts';
import { keys } from './keys.ts';
import { script } from './redis.ts';
import { type Cursor, firstOf, type PageRequest, walk } from './walk.ts';

export type ApiKeys = ReturnType<typeof openApiKeys>;

export type StoredApiKey = ApiKey & { readonly lastUsedAt: number | null };

/** A use is stored when the last stored one is this old: a write with every request would double the cost of a key. */
const noteUseEveryMs = 60_000;
/** Keys read in one round trip. */
const chunkSize = 100;

const fields = ['facts', 'name', 'usedAt'] as const;

/** KEYS key keys claim; ARGV facts name entry stored. */
const addScript = script(`${storedOnce}
if isStored(KEYS[3], ARGV[4]) then return 0 end
redis.call('HSET', KEYS[1], 'facts', ARGV[1], 'name', ARGV[2])
redis.call('ZADD', KEYS[2], 0, ARGV[3])
noteStored(KEYS[3], ARGV[4])
return 1`);

/** KEYS key; ARGV now, oldest time that counts as noted. A key that was revoked meanwhile is not brought back. */
const noteUseScript = script(`
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local noted = redis.call('HGET', KEYS[1], 'usedAt')
if noted and tonumber(noted) > tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 'usedAt', ARGV[1])
return 1`);

/** KEYS key; ARGV name. */
const renameScript = script(`
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'name', ARGV[1])
return 1`);

/** KEYS key keys; ARGV entry. A script, because a full Redis would refuse a transaction. */
const revokeScript = script(`
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return 1`);

export function openApiKeys(redis: Redis) {
  /** The entry of the list that has this id, or null. */
  async function entryOf(id: string): Promise<string | null> {
    if (!/^ak_[0-9a-z]+$/.test(id)) return null;
    const [entry] = await redis.zrangebylex(keys.apiKeys, `[${id}.`, `(${id}/`);
    return entry ?? null;
  }

  async function read(tokenHash: string): Promise<StoredApiKey | null> {
    const [facts, name, usedAt] = await redis.hmget(keys.apiKey(tokenHash), ...fields);
    if (!facts) return null;
    const stored = JSON.parse(facts);
    // Fields that keys of earlier versions do not have.
    const usual = { madeBy: null, ratesAbove: [], rootId: stored.madeBy ?? stored.id };
    return { ...usual, ...stored, name, lastUsedAt: usedAt ? Number(usedAt) : null };
  }

  async function* list(cursor: Cursor, isListed: (key: ApiKey) => boolean): AsyncGenerator<StoredApiKey> {
    for await (const entries of walk(redis, keys.apiKeys, cursor, chunkSize)) {
      for (const key of await Promise.all(entries.map((entry) => read(tokenHashIn(entry))))) {
        // Between the two reads a key may be revoked.
        if (key !== null && isListed(key)) yield key;
      }
    }
  }

  return {
    /** @param mark claim of the Idempotency-Key: a key that was revoked since is not brought back by a repeat */
    async add(key: ApiKey, tokenHash: string, mark: CreationMark | null = null): Promise<void> {
      const { name, ...facts } = key;
      const own = keys.apiKey(tokenHash);
      const args = [JSON.stringify(facts), name, entryFor(key.id, tokenHash), mark?.stored ?? ''];
      await addScript(redis, [own, keys.apiKeys, mark?.key ?? own], args);
    },

    /** The key of a token, or null. Its use is noted without waiting, at most once a minute. */
    async find(tokenHash: string, now: number): Promise<ApiKey | null> {
      const key = await read(tokenHash);
      const notedBefore = now - noteUseEveryMs;
      // Not awaited: a lost write only leaves `usedAt` a minute old.
      if (key !== null && (key.lastUsedAt ?? 0) <= notedBefore)
        noteUseScript(redis, [keys.apiKey(tokenHash)], [now, notedBefore]).catch(() => {});
      return key;
    },

    async get(id: string): Promise<StoredApiKey | null> {
      const entry = await entryOf(id);
      return entry === null ? null : read(tokenHashIn(entry));
    },

    /** A page of the keys that `isListed`, newest first; `hasMore` is about the direction of the request. */
    page({ limit, ...cursor }: PageRequest, isListed: (key: ApiKey) => boolean) {
      return firstOf(list(cursor, isListed), limit);
    },

    /** False when there was none. */
    async rename(id: string, name: string): Promise<boolean> {
      const entry = await entryOf(id);
      return entry !== null && (await renameScript(redis, [keys.apiKey(tokenHashIn(entry))], [name])) === 1;
    },

    /** Once this resolves, no look-up finds the key any more. False when there was none. */
    async revoke(id: string): Promise<boolean> {
      const entry = await entryOf(id);
      if (entry === null) return false;
      await revokeScript(redis, [keys.apiKey(tokenHashIn(entry)), keys.apiKeys], [entry]);
      return true;
    },
  };
}

/** Sorts by id, which sorts by time; neither part has a dot. */
function entryFor(id: string, tokenHash: string): string {
  return `${id}.${tokenHash}`;
}

function tokenHashIn(entry: string): string {
  return entry.slice(entry.indexOf('.') + 1);
}
