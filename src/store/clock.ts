/** The clock of Redis: the one that all processes share. */

/**
 * Lua: the time, in milliseconds since the epoch. A command may wait for long while Redis is away, or be sent again: a time that came with it
 * would be over by then.
 */
export const redisClock = `
local function redisNow()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
`;
