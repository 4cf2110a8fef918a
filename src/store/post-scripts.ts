/**
 * The atomic steps of a post. A command whose answer was lost with its connection is sent again by the client: a repeat of `hand` and `settle`
 * changes nothing, one of `take` takes what is next, and what it took the first time comes again when its lease ends.
 */
import { stepsOnce } from './creations.ts';
import { batchLimit, begun, index, isOnlySplit, trim } from './post-lua.ts';
import { script } from './redis.ts';

/**
 * Acknowledges events and has them wait for their endpoints, each once: what another notify acknowledged meanwhile is passed over. Events
 * of one millisecond keep their order by fractions of it.
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
 * Takes parcels that are due, the longest due first, under a lease. KEYS posts posting health postsDue pending failed batchLimit; ARGV id now leaseEnd
 * limit, most in hand in the whole fleet, failures from which that is one, events of a batch (0 for none), longest wait of a batch, mark of a
 * batch, most batches in hand where they are as large as that: of smaller ones as many events are. Answers failures, failingSince, then each parcel and since when it was due. What was tried before its endpoint took batches goes on in one, and has failed as
 * the delivery it was.
 */
export const takeScript = script(`${index}${batchLimit}
local id, now, leaseEnd = ARGV[1], tonumber(ARGV[2]), ARGV[3]
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[2])
local health = redis.call('HMGET', KEYS[3], 'failures', 'failingSince', 'restUntil')
local size, waitMs, mark = tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9]
local most = tonumber(ARGV[5])
if size > 0 then
  local usual = size
  size = math.min(size, batchLimit(KEYS[7], now))
  most = math.min(most, math.floor(tonumber(ARGV[10]) * usual / size))
end
if tonumber(health[1] or 0) >= tonumber(ARGV[6]) then most = 1 end
local room = math.min(tonumber(ARGV[4]), most - redis.call('ZCARD', KEYS[2]))
if tonumber(health[3] or 0) > now then room = 0 end
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
index(KEYS[4], KEYS[1], KEYS[3], id, ready)
return answer`);

/**
 * Writes down what a try came to, when the lease of its worker still holds. KEYS posts posting health postsDue deliveries pending success failed
 * answers answersByTime webhooks batchLimit; ARGV id parcel leaseEnd now, status of the delivery, when it comes again or '', delivery id and record, what that
 * says of the endpoint ('up', 'down' or ''), until when it is left alone should it be failing, until when in any case, failures from which
 * it is failing, deliveries kept of each status, name and text of the answer or '', answers kept, where it was posted: of an endpoint that was
 * moved since it says nothing; what ends the record of one that begins anew, events in it if it is a batch, else 0, events of a batch as
 * the endpoint asked for; then the parcels that its events go out in now, if that is not itself. A parcel that was replayed while it was in
 * hand goes out once more at once, unless this try got it there.
 * Of those that were only ever too large the record of the last is kept: one for each would push all others out.
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
  if rest > tonumber(redis.call('HGET', KEYS[3], 'restUntil') or 0) then
    redis.call('HSET', KEYS[3], 'restUntil', string.format('%.0f', rest))
  end
end
index(KEYS[4], KEYS[1], KEYS[3], id, 0)
return 1`);

/**
 * Forgets what waits for an endpoint that is disabled or gone; what was tried before has failed. KEYS posts posting health postsDue pending
 * failed webhooks batchLimit; ARGV id. The first write is one that a full Redis takes.
 */
export const dropScript = script(`
local webhook = redis.call('HGET', KEYS[7], ARGV[1])
if webhook and cjson.decode(webhook).status ~= 'disabled' then return 0 end
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[8])
redis.call('ZUNIONSTORE', KEYS[6], 2, KEYS[6], KEYS[5])
redis.call('UNLINK', KEYS[5])
redis.call('ZREM', KEYS[4], ARGV[1])
return 1`);

/** Forgets how an endpoint fared, and lets it have what waits. KEYS health postsDue batchLimit; ARGV id now. The first write is one that a full Redis takes. */
export const renewScript = script(`
redis.call('DEL', KEYS[1], KEYS[3])
redis.call('ZADD', KEYS[2], 'XX', 'LT', ARGV[2], ARGV[1])
return 1`);

/**
 * Forgets parcels that wait for an endpoint, but for those in hand, and writes down that they failed: those that were tried, and of the others
 * some, for which nothing else is trimmed. KEYS posts posting health postsDue deliveries pending success failed; ARGV id now, deliveries kept
 * of each status, most of those others, what ends the record of one that was tried before, then for each parcel: itself, its delivery, the
 * record of one that was not. The first write is one that a full Redis takes. Answers how many waited, and of how many others it is written.
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
  index(KEYS[4], KEYS[1], KEYS[3], ARGV[1], 0)
end
return {dropped, others}`);

/**
 * Removes an endpoint and all that is kept of it. KEYS webhooks postsDue, then each key of its own; ARGV id. Every write is one that a full
 * Redis takes, as none is that is part of a transaction.
 */
export const removeScript = script(`
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('UNLINK', unpack(KEYS, 3))
return 1`);

/**
 * Has parcels go out again, now, or once their endpoint is left alone no longer, each at the beginning of its schedule. One in hand is
 * marked instead, by half a millisecond that its lease is shorter: `settle` and the end of the lease take the mark away. KEYS posts posting
 * health postsDue deliveries claim; ARGV id now, what ends the record of one that begins anew, the claim as it was begun or ''; then for each
 * parcel, in the order of their steps: itself, its delivery, the step of that claim that it is. Those of one call keep their order by fractions
 * of a millisecond.
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
index(KEYS[4], KEYS[1], KEYS[3], ARGV[1], 0)
if last then notePast(KEYS[6], ARGV[4], last) end
return 1`);
