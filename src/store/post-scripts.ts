/**
 * The atomic steps of a post. The client sends a command again when its answer was lost with the connection. A repeat of `hand` or `settle`
 * changes nothing. A repeat of `take` takes the next parcels; those of the first command come again when their lease ends.
 */
import { stepsOnce } from './creations.ts';
import { batchLimit, begun, bringBack, index, isOnlySplit, trim } from './post-lua.ts';
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
 * Takes due parcels under a lease, the longest due first. KEYS posts posting health postsDue pending failed batchLimit.
 *
 * ARGV[1] id, [2] now, [3] leaseEnd, [4] limit
 * ARGV[5] most parcels in hand in the whole fleet, [6] failures from which that is one
 * ARGV[7] events of a batch, 0 for none, [8] longest wait of a batch, [9] mark of a batch
 * ARGV[10] longest wait of a parcel, [11] most full batches in hand; smaller ones may carry as many events together
 *
 * Answers failures, failingSince, then each parcel and since when it was due. A parcel that was tried before its endpoint took batches goes on
 * in a batch, and its own delivery has failed.
 */
export const takeScript = script(`${index}${batchLimit}${bringBack}
local id, now, leaseEnd = ARGV[1], tonumber(ARGV[2]), ARGV[3]
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[2])
bringBack(KEYS[1], KEYS[2], now, ARGV[10])
local health = redis.call('HMGET', KEYS[3], 'failures', 'failingSince')
local size, waitMs, mark = tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9]
local most = tonumber(ARGV[5])
if size > 0 then
  local usual = size
  size = math.min(size, batchLimit(KEYS[7], now))
  most = math.min(most, math.floor(tonumber(ARGV[11]) * usual / size))
end
if tonumber(health[1] or 0) >= tonumber(ARGV[6]) then most = 1 end
local room = math.min(tonumber(ARGV[4]), most - redis.call('ZCARD', KEYS[2]))
if restOf(KEYS[3], now) > now then room = 0 end
local answer, ready = {health[1] or '', health[2] or ''}, 0
local function take(parcel, dueAt)
  redis.call('ZADD', KEYS[1], leaseEnd, parcel)
  redis.call('ZADD', KEYS[2], leaseEnd, parcel)
  answer[#answer + 1], answer[#answer + 2], room = parcel, dueAt, room - 1
end
if room > 0 and size == 0 then
  local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[2], 'WITHSCORES', 'LIMIT', 0, room)
  for i = 1, #due, 2 do take(due[i], due[i + 1]) end
elseif room > 0 then
  local places, since = {}, {}
  local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[2], 'WITHSCORES', 'LIMIT', 0, room * size)
  for i = 1, #due, 2 do
    if string.sub(due[i], 1, #mark) ~= mark then
      places[#places + 1], since[#since + 1] = due[i], tonumber(due[i + 1])
    elseif room > 0 then
      take(due[i], due[i + 1])
    end
  end
  local from, isTried = 1, #places > 0 and redis.call('EXISTS', KEYS[5]) == 1
  while room > 0 and from <= #places do
    local to = math.min(#places, from + size - 1)
    if to - from + 1 < size and since[from] + waitMs > now then
      local later = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[2], '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
      ready = math.min(since[from] + waitMs, tonumber(later or '+inf'))
      break
    end
    redis.call('ZREM', KEYS[1], unpack(places, from, to))
    for i = from, isTried and to or 0 do
      local delivery = 'dl_' .. string.gsub(places[i], '%-', '_')
      if redis.call('ZREM', KEYS[5], delivery) == 1 then redis.call('ZADD', KEYS[6], now, delivery) end
    end
    take(mark .. table.concat(places, ',', from, to), string.format('%.0f', since[from]))
    from = to + 1
  end
end
if most - redis.call('ZCARD', KEYS[2]) <= 0 then
  ready = tonumber(redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2])
end
index(KEYS[4], KEYS[1], KEYS[3], id, now, ready)
return answer`);

/**
 * Stores the result of a try, if the lease of its worker still holds. KEYS posts posting health postsDue deliveries pending success failed
 * answers answersByTime webhooks batchLimit.
 *
 * ARGV[1] id, [2] parcel, [3] leaseEnd, [4] now
 * ARGV[5] status of the delivery, [6] when it comes again or '', [7] delivery id, [8] its record
 * ARGV[9] what the try says about the endpoint: 'up', 'down' or ''; ignored when the endpoint was moved since
 * ARGV[10] until when the endpoint rests if it is failing, [11] until when in any case, [12] failures from which it is failing
 * ARGV[13] deliveries kept of each status, [14] name of the answer, [15] its text, both or '', [16] answers kept
 * ARGV[17] the URL of the POST, [18] the end of a record that begins a new schedule
 * ARGV[19] events in the parcel if it is a batch, else 0, [20] events of a batch as the endpoint asked for
 * ARGV[21] and on: the parcels that replace this one
 *
 * A parcel that was replayed while it was in hand is due again at once, unless this try succeeded. Of batches whose tries all
 * said that they were too large, only the last record is kept: one for each would push all other deliveries out.
 */
export const settleScript = script(`${index}${trim}${begun}${isOnlySplit}${batchLimit}
local id, parcel, now, delivery = ARGV[1], ARGV[2], ARGV[4], ARGV[7]
local held, leaseEnd = tonumber(redis.call('ZSCORE', KEYS[2], parcel) or 0), tonumber(ARGV[3])
if math.ceil(held) ~= leaseEnd then return 0 end
redis.call('ZREM', KEYS[2], parcel)
local isSplit = #ARGV > 20
local isReplayed = held < leaseEnd and ARGV[5] ~= 'success' and not isSplit
local at = isReplayed and now or ARGV[6]
if at == '' then redis.call('ZREM', KEYS[1], parcel) else redis.call('ZADD', KEYS[1], at, parcel) end
for i = 21, #ARGV do redis.call('ZADD', KEYS[1], 'NX', now, ARGV[i]) end
local rings = {pending = KEYS[6], success = KEYS[7], failed = KEYS[8]}
for status, ring in pairs(rings) do
  if status ~= ARGV[5] then redis.call('ZREM', ring, delivery) end
end
redis.call('HSET', KEYS[5], delivery, isReplayed and begun(ARGV[8], ARGV[18]) or ARGV[8])
redis.call('ZADD', rings[ARGV[5]], now, delivery)
if ARGV[5] ~= 'pending' then trim(rings[ARGV[5]], KEYS[5], tonumber(ARGV[13]), 100) end
if ARGV[14] ~= '' then
  redis.call('HSET', KEYS[9], ARGV[14], ARGV[15])
  redis.call('ZADD', KEYS[10], now, ARGV[14])
  trim(KEYS[10], KEYS[9], tonumber(ARGV[16]), 0)
end
local function isThere()
  local webhook = redis.call('HGET', KEYS[11], id)
  return not webhook or cjson.decode(webhook).endpoint == ARGV[17]
end
if isSplit and isThere() then
  local last = redis.call('HGET', KEYS[12], 'delivery')
  local known = last and last ~= delivery and redis.call('HGET', KEYS[5], last)
  if known and isOnlySplit(known) and redis.call('ZREM', KEYS[8], last) == 1 then redis.call('HDEL', KEYS[5], last) end
  redis.call('HSET', KEYS[12], 'delivery', delivery)
  learn(KEYS[12], tonumber(ARGV[19]), tonumber(ARGV[20]), now)
elseif ARGV[5] == 'success' and ARGV[19] ~= '0' and isThere() then
  noteTaken(KEYS[12], tonumber(ARGV[19]), now)
end
if ARGV[9] == 'up' then
  if redis.call('EXISTS', KEYS[3]) == 1 and isThere() then redis.call('DEL', KEYS[3]) end
elseif ARGV[9] == 'down' and isThere() then
  local failures = redis.call('HINCRBY', KEYS[3], 'failures', 1)
  redis.call('HSETNX', KEYS[3], 'failingSince', now)
  local rest = tonumber(ARGV[11])
  if failures >= tonumber(ARGV[12]) then rest = math.max(rest, tonumber(ARGV[10])) end
  if rest > restOf(KEYS[3], now) then
    redis.call('HSET', KEYS[3], 'restUntil', string.format('%.0f', rest), 'restSince', now)
  end
end
index(KEYS[4], KEYS[1], KEYS[3], id, now, 0)
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
