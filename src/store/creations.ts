/** What is created, or done once, under an Idempotency-Key: made the same again as long as its answer may have been lost, secret included. */
import { createHmac } from 'node:crypto';
import type { Redis } from 'ioredis';
import { idempotencyMs } from '../domain/idempotency.ts';
import type { IdempotencyClaim } from './email-create.ts';
import { keys } from './keys.ts';
import { script } from './redis.ts';

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
  readonly mark: CreationMark;
};

/** Where a claim stands, what stands there at first, and once it is stored: written by the step that stores it. */
export type CreationMark = { readonly key: string; readonly begun: string; readonly stored: string };

export type Creations = ReturnType<typeof openCreations>;

/** Which of the states a claim is in stands after its hash, id and time: none at first. */
const joined = 'joined';
const walked = 'walked';
const done = 'done';

/**
 * Lua: whether what is created under a claim was stored before, by whoever did it: taken away or changed since, it stays so. `noteStored`
 * writes that down, in the step that stores it. `stored` is '' for what was asked for without an Idempotency-Key.
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
 * Lua: for what is done under a claim in several steps, in the order of their names as text: what tells whether a step was done before, by
 * whoever did it, and the note that all up to one are. `begun` is '' for what was asked for without an Idempotency-Key.
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

/** KEYS claim; ARGV a fresh one, for how long. Answers what stood there; what nobody has repeated so far is noted as joined. */
const beginScript = script(`
local stands = redis.call('GET', KEYS[1])
if not stands then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
elseif string.find(stands, '^%S+ %S+ %S+$') then redis.call('SET', KEYS[1], stands .. ' ${joined}', 'KEEPTTL') end
return stands`);

/** KEYS claim; ARGV as it is once it is stored, note. Answers the note that stands there. */
const endScript = script(`
local stands = redis.call('GET', KEYS[1]) or ''
if string.sub(stands, 1, #ARGV[1]) == ARGV[1] then return string.sub(stands, #ARGV[1] + 1) end
redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2], 'KEEPTTL', 'XX')
return ARGV[2]`);

/** KEYS claim; ARGV as it was begun. */
const giveUpScript = script(`if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end`);

/** @param secretKey 32 bytes */
export function openCreations(redis: Redis, secretKey: Uint8Array) {
  return {
    /**
     * Claims the key for `fresh`, or finds what it was claimed for. A process that dies before `end` leaves it to the repeat to store the
     * same once more. Null when the key came with another body.
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
     * Notes that it is stored, unless the key is over by now: what is taken away later does not come back by a repeat. What was noted in the
     * step that stored it, or by whoever was first, stays.
     * @param note a word to find there then
     * @returns the one that is found there
     */
    async end({ scope, bodyHash }: IdempotencyClaim, creation: Creation, note = ''): Promise<string> {
      return String(await endScript(redis, [keys.idempotency(scope)], [storedAs(bodyHash, creation), note]));
    },

    /** It came to nothing: the key is free again, unless a repeat has joined, which may have done it. */
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
