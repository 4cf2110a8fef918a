/** Lua functions that the scripts of posts share. */
import { clockSkewMs } from '../domain/clock.ts';
import { tooLarge } from '../domain/post.ts';

/** Parcels that are moved in one step, which takes a millisecond. */
const broughtBack = 500;
/** After what was too large, batches may be twice as large each time so much has passed. */
const growEveryMs = 30_000;
/** Longer than it takes to double the limit from one event to the largest batch. */
const keepLimitMs = 3_600_000;

/**
 * Lua: says in `postsDue` when there is something to do for an endpoint. `notBefore` is 0, or when a batch is ready. `restOf` answers until when
 * the endpoint is left alone: a rest that begins later than now is over, as it is from before the clock of Redis was put back.
 */
export const index = `
local function restOf(health, now)
  local rest = redis.call('HMGET', health, 'restUntil', 'restSince')
  return tonumber(rest[2] or 0) > now + ${clockSkewMs} and 0 or tonumber(rest[1] or 0)
end
local function index(due, posts, health, id, now, notBefore)
  local at = redis.call('ZRANGE', posts, 0, 0, 'WITHSCORES')[2]
  if not at then return redis.call('ZREM', due, id) end
  redis.call('ZADD', due, string.format('%.0f', math.ceil(math.max(tonumber(at), restOf(health, now), notBefore))), id)
end
`;

/**
 * Lua: has go out now what lies further ahead than any wait lasts, some of it at a time, and ends such leases: all of it is from before the
 * clock of Redis was put back.
 */
export const bringBack = `
local function bringBack(posts, posting, now, longest)
  local farthest = string.format('(%.0f', now + longest)
  redis.call('ZREMRANGEBYSCORE', posting, farthest, '+inf')
  for _, parcel in ipairs(redis.call('ZRANGEBYSCORE', posts, farthest, '+inf', 'LIMIT', 0, ${broughtBack})) do
    redis.call('ZADD', posts, now, parcel)
  end
end
`;

/** Lua: keeps the latest deliveries of a status. Trims several at a time, because a trim costs as much as the write before it. */
export const trim = `
local function trim(ring, of, most, slack)
  local excess = redis.call('ZCARD', ring) - most
  if excess <= slack then return end
  local old = redis.call('ZRANGE', ring, 0, math.min(excess, 1000) - 1)
  redis.call('ZREM', ring, unpack(old))
  redis.call('HDEL', of, unpack(old))
end
`;

/** Lua: the record of a delivery that begins a new schedule. One that waits to begin already stays as it is: no repeat makes it longer. */
export const begun = `
local function begun(record, beginning)
  if string.find(record, ',"r":0,"again":%d+}$') then return record end
  return string.sub(record, 1, -2) .. beginning
end
`;

/** Lua: whether a batch was never answered but by that it is too large. Of a record that cannot be read that is not known. */
export const isOnlySplit = `
local function areAllTooLarge(record)
  for _, try in ipairs(cjson.decode(record).t) do
    if try[2] ~= ${tooLarge} then return false end
  end
  return true
end
local function isOnlySplit(record)
  local isRead, areAll = pcall(areAllTooLarge, record)
  return isRead and areAll
end
`;

/**
 * Lua: how many events may go out in one batch, as far as its endpoint has said by refusing one as too large: half of that, and twice as many
 * after each while. `learn` writes down a refusal. One of a batch of less than half of what may go out says something of an event in it and
 * nothing of how many there were; what the endpoint has taken within a while was not too many, whichever of two halves is answered first.
 * `noteTaken` writes that down.
 */
export const batchLimit = `
local function batchLimit(limit, now)
  local is = redis.call('HMGET', limit, 'most', 'at')
  return is[1] and is[1] * 2 ^ math.floor(math.max(0, now - is[2]) / ${growEveryMs}) or math.huge
end
local function lastTaken(limit, now)
  local is = redis.call('HMGET', limit, 'taken', 'takenAt')
  return is[1] and math.abs(now - is[2]) < ${growEveryMs} and tonumber(is[1]) or 0
end
local function learn(limit, events, usual, now)
  local is = batchLimit(limit, now)
  if events * 2 < math.min(is, usual) then return end
  local most = math.max(math.ceil(events / 2), lastTaken(limit, now))
  if most < is then redis.call('HSET', limit, 'most', most, 'at', now) end
  redis.call('PEXPIRE', limit, ${keepLimitMs})
end
local function noteTaken(limit, events, now)
  if redis.call('HEXISTS', limit, 'most') == 0 then return end
  if events >= lastTaken(limit, now) then redis.call('HSET', limit, 'taken', events, 'takenAt', now) end
  if events > batchLimit(limit, now) then redis.call('HSET', limit, 'most', events, 'at', now) end
end
`;
