/** Removes, a few at a time, events past their retention and old deliveries. */
import type { Redis } from 'ioredis';
import { deliveryStatuses } from '../domain/delivery.ts';
import { keys } from './keys.ts';
import { named } from './named.ts';
import { outboxGroup } from './outbox.ts';
import { script } from './redis.ts';

export type EventRetention = ReturnType<typeof openEventRetention>;

/**
 * Lua: drops the entries before a place and notes how far it went, so that a late reader of the feed can be told. KEYS outbox trimmed. Answers
 * how many were dropped. The first write is one that a full Redis accepts.
 */
export const trimBefore = `
local function trimBefore(first)
  local last = redis.call('XREVRANGE', KEYS[1], '(' .. first, '-', 'COUNT', 1)[1]
  if not last then return 0 end
  local trimmed = redis.call('XTRIM', KEYS[1], 'MINID', '=', first)
  redis.call('SET', KEYS[2], last[1])
  return trimmed
end
`;

const trimArguments = named(
  'groupName',
  'keepFrom', // the oldest place to keep
  'mostKept', // entries
  'mostTrimmed', // entries, now
);

/**
 * Trims the outbox up to a place or a length, but never entries that notify has not handled: not read yet, or read and not acknowledged.
 * KEYS outbox trimmed, ARGV trimArguments. Answers how many were trimmed; as many as allowed means that there are more.
 */
const trimScript = script(`${trimBefore}
local outbox = KEYS[1]
${trimArguments.read('ARGV')}
local function after(a, b)
  local ams, aseq = string.match(a, '(%d+)-(%d+)')
  local bms, bseq = string.match(b, '(%d+)-(%d+)')
  if tonumber(ams) ~= tonumber(bms) then return tonumber(ams) > tonumber(bms) end
  return tonumber(aseq) > tonumber(bseq)
end
local read
for _, group in ipairs(redis.call('XINFO', 'GROUPS', outbox)) do
  local fields = {}
  for i = 1, #group, 2 do fields[group[i]] = group[i + 1] end
  if fields.name == groupName then read = fields['last-delivered-id'] end
end
if not read or read == '0-0' then return 0 end
local pending = redis.call('XPENDING', outbox, groupName, '-', '+', 1)[1]
local bound = pending and pending[1] or read
local excess = redis.call('XLEN', outbox) - tonumber(mostKept)
local oldest = redis.call('XRANGE', outbox, '-', '+', 'COUNT', 1)[1]
if not oldest then return 0 end
if excess > 0 then
  local edge = redis.call('XRANGE', outbox, '-', '+', 'COUNT', math.min(excess, tonumber(mostTrimmed)) + 1)
  local first = edge[#edge][1]
  return trimBefore(after(first, bound) and bound or first)
end
if not after(keepFrom, oldest[1]) then return 0 end
local edge = redis.call('XRANGE', outbox, '-', keepFrom, 'COUNT', tonumber(mostTrimmed) + 1)
local first = #edge > tonumber(mostTrimmed) and edge[#edge][1] or keepFrom
return trimBefore(after(first, bound) and bound or first)`);

/**
 * KEYS a sorted set by time, and a hash with the same names; ARGV time before which entries are removed, most to remove now. Answers how many
 * were removed. A full Redis would refuse a transaction, whatever is in it.
 */
const forgetScript = script(`
local byTime, entries = KEYS[1], KEYS[2]
local before, most = ARGV[1], ARGV[2]
local old = redis.call('ZRANGEBYSCORE', byTime, '-inf', '(' .. before, 'LIMIT', 0, most)
if #old == 0 then return 0 end
redis.call('HDEL', entries, unpack(old))
redis.call('ZREM', byTime, unpack(old))
return #old`);

/** Most entries that one script trims: it blocks Redis for some milliseconds. */
const maxTrimmed = 5_000;
/** Most deliveries of one endpoint and status removed in one step. */
const maxForgotten = 1_000;

export function openEventRetention(redis: Redis) {
  const forgetOf = async (ring: string, hash: string, before: number): Promise<number> =>
    Number(await forgetScript(redis, [ring, hash], [before, maxForgotten]));

  return {
    /**
     * Removes events from before a time (milliseconds since the epoch), and the oldest beyond `most` events; some at a time.
     * @returns whether there may be more
     */
    async trimEvents(before: number, most: number): Promise<boolean> {
      const keepFrom = `${Math.max(0, Math.floor(before))}-0`;
      const args = trimArguments.inOrder({
        groupName: outboxGroup,
        keepFrom,
        mostKept: most,
        mostTrimmed: maxTrimmed,
      });
      return Number(await trimScript(redis, [keys.outbox, keys.outboxTrimmed], args)) >= maxTrimmed;
    },

    /** Removes deliveries to an endpoint that ended before a time, with their answers; some at a time. @returns as above */
    async forgetDeliveries(webhookId: string, before: number): Promise<boolean> {
      const ended = deliveryStatuses.filter((status) => status !== 'pending');
      const counts = await Promise.all([
        ...ended.map((status) => forgetOf(keys.deliveriesBy(webhookId, status), keys.deliveries(webhookId), before)),
        forgetOf(keys.answersByTime(webhookId), keys.answers(webhookId), before),
      ]);
      return counts.some((count) => count === maxForgotten);
    },
  };
}
