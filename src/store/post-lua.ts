/** What the scripts of posts have in common: texts that they begin with. */

import { tooLarge } from '../domain/post.ts';

/** After what was too large, batches may be twice as large each time so much has passed. */
const growEveryMs = 30_000;
/** Longer than it takes from one event to the largest batch there is. */
const keepLimitMs = 3_600_000;

/** Lua: says in `postsDue` when there is something to do for an endpoint. `notBefore` is 0, or when a batch is ready. */
export const index = `
local function index(due, posts, health, id, notBefore)
  local at = redis.call('ZRANGE', posts, 0, 0, 'WITHSCORES')[2]
  if not at then return redis.call('ZREM', due, id) end
  local rest = tonumber(redis.call('HGET', health, 'restUntil') or 0)
  redis.call('ZADD', due, string.format('%.0f', math.ceil(math.max(tonumber(at), rest, notBefore))), id)
end
`;

/** Lua: keeps of a status the latest deliveries; trimmed some at a time, since each trim costs as much as what it is for. */
export const trim = `
local function trim(ring, of, most, slack)
  local excess = redis.call('ZCARD', ring) - most
  if excess <= slack then return end
  local old = redis.call('ZRANGE', ring, 0, math.min(excess, 1000) - 1)
  redis.call('ZREM', ring, unpack(old))
  redis.call('HDEL', of, unpack(old))
end
`;

/** Lua: the record of a delivery whose schedule begins anew; of one that waits to begin already it stays, so that no repeat makes it longer. */
export const begun = `
local function begun(record, beginning)
  if string.find(record, ',"r":0,"again":%d+}$') then return record end
  return string.sub(record, 1, -2) .. beginning
end
`;

/** Lua: whether a batch was never answered but by that it is too large. */
export const isOnlySplit = `
local function isOnlySplit(record)
  for _, try in ipairs(cjson.decode(record).t) do
    if try[2] ~= ${tooLarge} then return false end
  end
  return true
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
  return is[1] and now - is[2] < ${growEveryMs} and tonumber(is[1]) or 0
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
