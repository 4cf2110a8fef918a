/** Lua functions that the scripts of posts share. */

/** After a batch was refused as too large, the limit doubles each time this much has passed. */
const growEveryMs = 30_000;
/** Longer than it takes to double the limit from one event to the largest batch. */
const keepLimitMs = 3_600_000;

/** Lua: writes to `postsDue` when the next post of an endpoint is due. `notBefore` is 0, or when a batch is ready. */
export const index = `
local function index(due, posts, health, id, notBefore)
  local at = redis.call('ZRANGE', posts, 0, 0, 'WITHSCORES')[2]
  if not at then return redis.call('ZREM', due, id) end
  local rest = tonumber(redis.call('HGET', health, 'restUntil') or 0)
  redis.call('ZADD', due, string.format('%.0f', math.ceil(math.max(tonumber(at), rest, notBefore))), id)
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

/**
 * Lua: how many events may go out in one batch, as far as its endpoint has said by refusing one as too large: half of that, and twice as many
 * after each while. `learn` writes down a refusal, by how many are in its half.
 */
export const batchLimit = `
local function batchLimit(limit, now)
  local is = redis.call('HMGET', limit, 'most', 'at')
  return is[1] and is[1] * 2 ^ math.floor(math.max(0, now - is[2]) / ${growEveryMs}) or math.huge
end
local function learn(limit, half, now)
  if half < batchLimit(limit, now) then redis.call('HSET', limit, 'most', half, 'at', now) end
  redis.call('PEXPIRE', limit, ${keepLimitMs})
end
`;
