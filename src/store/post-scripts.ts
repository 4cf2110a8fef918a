/**
 * The atomic steps of posts, except for their taking (post-take.ts) and their settling (post-settle.ts). The client sends a command again when
 * its answer was lost with the connection. A repeat of `hand` or `settle` changes nothing. A repeat of `take` takes the next parcels; those of
 * the first command come again when their lease ends.
 */
import { stepsOnce } from './creations.ts';
import { named } from './named.ts';
import { begun, index, trim } from './post-lua.ts';
import { script } from './redis.ts';

/** The keys of `posts` of each endpoint follow. */
export const handKeys = named('outbox', 'webhooks', 'postsDue');
/** The ids of the endpoints follow, then for each event its place, and the numbers of its endpoints with a comma after each. */
export const handArguments = named(
  'group',
  'now',
  'before', // events of now before these
  'endpoints', // how many
);

/**
 * Acknowledges events and adds each once to the waiting posts of its endpoints. Events that another worker acknowledged meanwhile are skipped.
 * Fractions of a millisecond keep the order of events of the same millisecond.
 */
export const handScript = script(`
${handKeys.read('KEYS')}
${handArguments.read('ARGV')}
local function idOf(n) return ARGV[${handArguments.count} + n] end
local function postsOf(n) return KEYS[${handKeys.count} + n] end
local touched, added = {}, tonumber(before)
for i = ${handArguments.count + 1} + endpoints, #ARGV, 2 do
  local place, numbers = ARGV[i], ARGV[i + 1]
  if redis.call('XACK', outbox, group, place) == 1 then
    for number in string.gmatch(numbers, '%d+') do
      local n = tonumber(number)
      if touched[n] == nil then touched[n] = redis.call('HEXISTS', webhooks, idOf(n)) == 1 end
      if touched[n] then redis.call('ZADD', postsOf(n), 'NX', string.format('%.4f', now - 1 + added / 2048), place) end
    end
    added = added + 1
  end
end
for n, isThere in pairs(touched) do
  if isThere then redis.call('ZADD', postsDue, 'LT', now, idOf(n)) end
end
return 1`);

export const dropKeys = named(
  'posts',
  'posting',
  'health',
  'postsDue',
  'pending',
  'failed',
  'webhooks',
  'limit', // of its batches
  'deliveries',
);
export const dropArguments = named(
  'id',
  'kept', // deliveries of each status
  'most', // deliveries forgotten in one step
);

/**
 * Drops what waits for an endpoint that is disabled or gone. Of the deliveries that were tried, it keeps the newest as failed and drops the others,
 * some at a time. Answers 1 when there is more. The endpoint leaves `postsDue` last: if the process dies before, the next one continues.
 * The first write is one that a full Redis takes.
 */
export const dropScript = script(`${trim}
${dropKeys.read('KEYS')}
${dropArguments.read('ARGV')}
local webhook = redis.call('HGET', webhooks, id)
if webhook and cjson.decode(webhook).status ~= 'disabled' then return 0 end
redis.call('UNLINK', posts, posting, health, limit)
local excess = redis.call('ZCARD', pending) - kept
if excess > 0 then
  local old = redis.call('ZRANGE', pending, 0, math.min(excess, tonumber(most)) - 1)
  redis.call('ZREM', pending, unpack(old))
  redis.call('HDEL', deliveries, unpack(old))
  return 1
end
redis.call('ZUNIONSTORE', failed, 2, failed, pending)
redis.call('UNLINK', pending)
trim(failed, deliveries, tonumber(kept), 100)
redis.call('ZREM', postsDue, id)
return 0`);

/** Resets the health of an endpoint, so that it is due now. KEYS health postsDue batchLimit; ARGV id now. A full Redis accepts it. */
export const renewScript = script(`
redis.call('DEL', KEYS[1], KEYS[3])
redis.call('ZADD', KEYS[2], 'XX', 'LT', ARGV[2], ARGV[1])
return 1`);

export const dropLostKeys = named(
  'posts',
  'posting',
  'health',
  'postsDue',
  'deliveries',
  'pending',
  'success',
  'failed',
);
/** For each parcel `lostArguments` follow. */
export const dropLostArguments = named(
  'id',
  'now',
  'kept', // deliveries of each status
  'mostUntried', // deliveries without a try to store
  'ending', // of the record of a delivery that was tried
);
export const lostArguments = named(
  'parcel',
  'delivery', // its id
  'record', // for one without a try
);

/**
 * Drops waiting parcels of an endpoint, except those in hand, and stores failed deliveries for them: for all that were tried, and for some
 * without a try, as long as no other delivery is trimmed for these. The first write is one that a full Redis accepts. Answers how many were
 * dropped, and how many deliveries without a try were stored.
 */
export const dropLostScript = script(`${index}${trim}
${dropLostKeys.read('KEYS')}
${dropLostArguments.read('ARGV')}
local dropped, most, untried = 0, tonumber(kept), 0
for i = ${dropLostArguments.count + 1}, #ARGV, ${lostArguments.count} do
  ${lostArguments.read('ARGV', 'i')}
  local isInHand = tonumber(redis.call('ZSCORE', posting, parcel) or 0) > tonumber(now)
  if not isInHand and redis.call('ZREM', posts, parcel) == 1 then
    dropped = dropped + 1
    local known = redis.call('HGET', deliveries, delivery)
    local hasRoom = untried < tonumber(mostUntried) and redis.call('ZCARD', failed) < most
    if known or hasRoom then
      if not known then untried = untried + 1 end
      redis.call('ZREM', pending, delivery)
      redis.call('ZREM', success, delivery)
      redis.call('HSET', deliveries, delivery, known and string.sub(known, 1, -2) .. ending or record)
      redis.call('ZADD', failed, now, delivery)
    end
  end
end
if dropped > 0 then
  trim(failed, deliveries, most, 100)
  index(postsDue, posts, health, id, now, 0)
end
return {dropped, untried}`);

/**
 * Removes an endpoint and all its keys. KEYS webhooks postsDue, then each key of its own; ARGV id. A full Redis accepts each of these writes,
 * but would refuse a transaction.
 */
export const removeScript = script(`
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('UNLINK', unpack(KEYS, 3))
return 1`);

export const againKeys = named('posts', 'posting', 'health', 'postsDue', 'deliveries', 'claim');
/** For each parcel `parcelArguments` follow, in the order of their steps. */
export const againArguments = named(
  'id',
  'now',
  'beginning', // of a record that begins a new schedule
  'claimBegun', // the claim as it was begun, or ''
);
export const parcelArguments = named(
  'parcel',
  'delivery', // its id
  'step', // of that claim
);

/**
 * Makes parcels due again, now or when the rest of their endpoint ends, each with a new schedule. A parcel in hand is only marked: its lease
 * gets half a millisecond shorter, until `settle` or the end of the lease. Fractions of a millisecond keep the order of the parcels of one call.
 */
export const againScript = script(`${index}${begun}${stepsOnce}
${againKeys.read('KEYS')}
${againArguments.read('ARGV')}
local isPast, last = pastUnder(claim, claimBegun), nil
local function again(parcel, delivery, order)
  local leaseEnd = redis.call('ZSCORE', posting, parcel)
  if leaseEnd then
    redis.call('ZADD', posting, string.format('%.1f', math.ceil(tonumber(leaseEnd)) - 0.5), parcel)
  else
    redis.call('ZADD', posts, 'LT', string.format('%.4f', now - 1 + order / 4096), parcel)
  end
  local known = redis.call('HGET', deliveries, delivery)
  if known then redis.call('HSET', deliveries, delivery, begun(known, beginning)) end
end
local first = ${againArguments.count + 1}
for i = first, #ARGV, ${parcelArguments.count} do
  ${parcelArguments.read('ARGV', 'i')}
  if not isPast(step) then
    again(parcel, delivery, i - first)
    last = step
  end
end
index(postsDue, posts, health, id, now, 0)
if last then notePast(claim, claimBegun, last) end
return 1`);
