/** Creates something once under an Idempotency-Key. A repeat after a lost answer gets the same result, secrets included. */
import { createHmac } from 'node:crypto';
import type { Redis } from 'ioredis';
import { type IdempotencyClaim, idempotencyMs } from '../domain/idempotency.ts';
import { keys } from './keys.ts';
import { script } from './redis.ts';

export type Creation = {
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** 32 secret bytes. They are derived, so that no secret must be stored for a repeat. */
  readonly secret: Uint8Array;
  readonly isRepeat: boolean;
  /** It was stored once; it may have been removed since. */
  readonly isDone: boolean;
  /** The note written when it was stored. */
  readonly note: string;
  readonly mark: CreationMark;
};

/** The key of a claim, its first value, and its value once the object is stored, written by the step that stores the object. */
export type CreationMark = { readonly key: string; readonly begun: string; readonly stored: string };

export type Creations = ReturnType<typeof openCreations>;

/** The state of a claim follows its hash, id and time; it has none at first. */
const joined = 'joined';
const walked = 'walked';
const done = 'done';

/**
 * Lua: `isStored` says whether the object of a claim was stored before, by any process: then a repeat must not bring back a removed or older
 * state. `noteStored` records that, in the step that stores the object. `stored` is '' for a request without an Idempotency-Key.
 */
export const storedOnce = `
local function isStored(claim, stored)
  return stored ~= '' and string.sub(redis.call('GET', claim) or '', 1, #stored) == stored
end
local function noteStored(claim, stored)
  if stored ~= '' then redis.call('SET', claim, stored, 'KEEPTTL', 'XX') end
end
`;

/**
 * Lua: for a request that is done in several steps, in the order of their names as text. `pastUnder` gives the function that says whether a step
 * was done before, by any process; `notePast` records that all steps up to one are done. `begun` is '' for a request without an Idempotency-Key.
 */
export const stepsOnce = `
local function pastUnder(claim, begun)
  local stands = begun ~= '' and redis.call('GET', claim) or ''
  if begun == '' or string.sub(stands, 1, #begun) ~= begun then return function() return false end end
  local state, reached = string.match(stands, '^ (%S+) ?(%S*)', #begun + 1)
  return function(step) return state == '${done}' or (state == '${walked}' and reached >= step) end
end
local function notePast(claim, begun, step)
  if begun ~= '' then redis.call('SET', claim, begun .. ' ${walked} ' .. step, 'KEEPTTL', 'XX') end
end
`;

/** KEYS claim; ARGV new claim, its time to live. Answers the earlier claim, if any; the first repeat marks it as joined. */
const beginScript = script(`
local stands = redis.call('GET', KEYS[1])
if not stands then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
elseif string.find(stands, '^%S+ %S+ %S+$') then redis.call('SET', KEYS[1], stands .. ' ${joined}', 'KEEPTTL') end
return stands`);

/** KEYS claim; ARGV the claim as it is once stored, note. Answers the note that is kept. */
const endScript = script(`
local stands = redis.call('GET', KEYS[1]) or ''
if string.sub(stands, 1, #ARGV[1]) == ARGV[1] then return string.sub(stands, #ARGV[1] + 1) end
redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2], 'KEEPTTL', 'XX')
return ARGV[2]`);

/** KEYS claim; ARGV the claim as it was begun. */
const giveUpScript = script(`if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end`);

/** @param secretKey 32 bytes */
export function openCreations(redis: Redis, secretKey: Uint8Array) {
  return {
    /**
     * Claims the key for `fresh`, or finds the earlier claim. When a process dies before `end`, the repeat stores the same object. Null when
     * the key was used with another body.
     */
    async begin({ scope, bodyHash }: IdempotencyClaim, fresh: { id: string; now: number }): Promise<Creation | null> {
      const ours = begun(bodyHash, { id: fresh.id, createdAt: fresh.now });
      const stood = await beginScript(redis, [keys.idempotency(scope)], [ours, idempotencyMs]);
      const isRepeat = typeof stood === 'string';
      const stored = isRepeat ? stood : ours;
      const [hash = '', id = '', createdAt = '', state, note = ''] = stored.split(' ');
      if (hash !== bodyHash) return null;
      const secret = createHmac('sha256', secretKey).update(`creation ${scope} ${bodyHash} ${id}`).digest();
      const creation = { id, createdAt: Number(createdAt), secret, isRepeat, isDone: state === done, note };
      return {
        ...creation,
        mark: { key: keys.idempotency(scope), begun: begun(bodyHash, creation), stored: storedAs(bodyHash, creation) },
      };
    },

    /**
     * Notes that the object is stored, unless the key expired: a repeat must not bring back a removed object. A note that was stored before,
     * with the object or by another process, stays.
     * @param note kept for repeats
     * @returns the note that is kept
     */
    async end({ scope, bodyHash }: IdempotencyClaim, creation: Creation, note = ''): Promise<string> {
      return String(await endScript(redis, [keys.idempotency(scope)], [storedAs(bodyHash, creation), note]));
    },

    /** Nothing was created: frees the key, unless a repeat has joined, which may have created it. */
    async giveUp({ scope, bodyHash }: IdempotencyClaim, creation: Creation): Promise<void> {
      await giveUpScript(redis, [keys.idempotency(scope)], [begun(bodyHash, creation)]);
    },
  };
}

function begun(bodyHash: string, { id, createdAt }: Pick<Creation, 'id' | 'createdAt'>): string {
  return [bodyHash, id, createdAt].join(' ');
}

function storedAs(bodyHash: string, creation: Pick<Creation, 'id' | 'createdAt'>): string {
  return `${begun(bodyHash, creation)} ${done} `;
}
