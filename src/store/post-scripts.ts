/**
 * The atomic steps of posts, but for their taking (post-take.ts) and their settling (post-settle.ts). The client sends a command again when its answer was lost with the connection. A repeat of `hand` or `settle`
 * changes nothing. A repeat of `take` takes the next parcels; those of the first command come again when their lease ends.
 */
import { stepsOnce } from './creations.ts';
import { begun, index, trim } from './post-lua.ts';
import { script } from './redis.ts';

/**
 * Acknowledges events and adds each once to the waiting posts of its endpoints. Events that another worker acknowledged meanwhile are skipped.
 * Fractions of a millisecond keep the order of events of the same millisecond.
 * KEYS outbox webhooks postsDue, then posts for each endpoint; ARGV group now, events of now before these, number of endpoints and their ids,
 * then for each event: place, and the numbers of its endpoints with a comma after each.
 */
export const handScript = script(`
local count, touched, added = tonumber(ARGV[4]), {}, tonumber(ARGV[3])
for i = 5 + count, #ARGV, 2 do
  if redis.call('XACK', KEYS[1], ARGV[1], ARGV[i]) == 1 then
    for number in string.gmatch(ARGV[i + 1], '%d+') do
      local n = tonumber(number)
      if touched[n] == nil then touched[n] = redis.call('HEXISTS', KEYS[2], ARGV[4 + n]) == 1 end
      if touched[n] then redis.call('ZADD', KEYS[3 + n], 'NX', string.format('%.4f', ARGV[2] - 1 + added / 2048), ARGV[i]) end
    end
    added = added + 1
  end
end
for n, isThere in pairs(touched) do
  if isThere then redis.call('ZADD', KEYS[3], 'LT', ARGV[2], ARGV[4 + n]) end
end
return 1`);

/**
 * Drops what waits for an endpoint that is disabled or gone. Of the deliveries that were tried, it keeps the newest as failed and drops the others,
 * some at a time. KEYS posts posting health postsDue pending failed webhooks batchLimit deliveries; ARGV id, deliveries kept of each status, most in
 * one step. Answers 1 when there is more. The endpoint leaves `postsDue` last: if the process dies before, the next one continues.
 * The first write is one that a full Redis takes.
 */
export const dropScript = script(`${trim}
local webhook = redis.call('HGET', KEYS[7], ARGV[1])
if webhook and cjson.decode(webhook).status ~= 'disabled' then return 0 end
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[8])
local most, step = tonumber(ARGV[2]), tonumber(ARGV[3])
local excess = redis.call('ZCARD', KEYS[5]) - most
if excess > 0 then
  local old = redis.call('ZRANGE', KEYS[5], 0, math.min(excess, step) - 1)
  redis.call('ZREM', KEYS[5], unpack(old))
  redis.call('HDEL', KEYS[9], unpack(old))
  return 1
end
redis.call('ZUNIONSTORE', KEYS[6], 2, KEYS[6], KEYS[5])
redis.call('UNLINK', KEYS[5])
trim(KEYS[6], KEYS[9], most, 100)
redis.call('ZREM', KEYS[4], ARGV[1])
return 0`);

/** Resets the health of an endpoint, so that it is due now. KEYS health postsDue batchLimit; ARGV id now. A full Redis accepts it. */
export const renewScript = script(`
redis.call('DEL', KEYS[1], KEYS[3])
redis.call('ZADD', KEYS[2], 'XX', 'LT', ARGV[2], ARGV[1])
return 1`);

/**
 * Drops waiting parcels of an endpoint, except those in hand, and stores failed deliveries for them: for all that were tried, and for some
 * without a try, as long as no other delivery is trimmed for these. KEYS posts posting health postsDue deliveries pending success failed;
 * ARGV id now, deliveries kept of each status, most deliveries without a try, the end of the record of a tried one, then for each parcel:
 * parcel, delivery id, record for one without a try. The first write is one that a full Redis accepts. Answers how many were dropped, and how
 * many deliveries without a try were stored.
 */
export const dropLostScript = script(`${index}${trim}
local dropped, most, others = 0, tonumber(ARGV[3]), 0
for i = 6, #ARGV, 3 do
  local parcel, delivery = ARGV[i], ARGV[i + 1]
  local isInHand = tonumber(redis.call('ZSCORE', KEYS[2], parcel) or 0) > tonumber(ARGV[2])
  if not isInHand and redis.call('ZREM', KEYS[1], parcel) == 1 then
    dropped = dropped + 1
    local known = redis.call('HGET', KEYS[5], delivery)
    local hasRoom = others < tonumber(ARGV[4]) and redis.call('ZCARD', KEYS[8]) < most
    if known or hasRoom then
      if not known then others = others + 1 end
      redis.call('ZREM', KEYS[6], delivery)
      redis.call('ZREM', KEYS[7], delivery)
      redis.call('HSET', KEYS[5], delivery, known and string.sub(known, 1, -2) .. ARGV[5] or ARGV[i + 2])
      redis.call('ZADD', KEYS[8], ARGV[2], delivery)
    end
  end
end
if dropped > 0 then
  trim(KEYS[8], KEYS[5], most, 100)
  index(KEYS[4], KEYS[1], KEYS[3], ARGV[1], ARGV[2], 0)
end
return {dropped, others}`);

/**
 * Removes an endpoint and all its keys. KEYS webhooks postsDue, then each key of its own; ARGV id. A full Redis accepts each of these writes,
 * but would refuse a transaction.
 */
export const removeScript = script(`
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('UNLINK', unpack(KEYS, 3))
return 1`);

/**
 * Makes parcels due again, now or when the rest of their endpoint ends, each with a new schedule. A parcel in hand is only marked: its lease
 * gets half a millisecond shorter, until `settle` or the end of the lease. Fractions of a millisecond keep the order of the parcels of one call.
 * KEYS posts posting health postsDue deliveries claim; ARGV id now, the end of a record that begins a new schedule, the claim as it was begun
 * or ''; then for each parcel, in the order of their steps: parcel, delivery id, its step of that claim.
 */
export const againScript = script(`${index}${begun}${stepsOnce}
local isPast, last = pastUnder(KEYS[6], ARGV[4]), nil
local function again(parcel, delivery, order)
  local leaseEnd = redis.call('ZSCORE', KEYS[2], parcel)
  if leaseEnd then
    redis.call('ZADD', KEYS[2], string.format('%.1f', math.ceil(tonumber(leaseEnd)) - 0.5), parcel)
  else
    redis.call('ZADD', KEYS[1], 'LT', string.format('%.4f', ARGV[2] - 1 + order / 4096), parcel)
  end
  local known = redis.call('HGET', KEYS[5], delivery)
  if known then redis.call('HSET', KEYS[5], delivery, begun(known, ARGV[3])) end
end
for i = 5, #ARGV, 3 do
  if not isPast(ARGV[i + 2]) then
    again(ARGV[i], ARGV[i + 1], i - 5)
    last = ARGV[i + 2]
  end
end
index(KEYS[4], KEYS[1], KEYS[3], ARGV[1], ARGV[2], 0)
if last then notePast(KEYS[6], ARGV[4], last) end
return 1`);
