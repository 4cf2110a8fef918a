/** The pace of a campaign: what its rate allows, and the measured pace. Both survive a clock of Redis that is set back. */

/** The pace is measured over at least this long, and no shorter than the time from one message to the next at the campaign's own rate. */
const paceMs = 3_000;
/** A pace holds for so many times that long. After that no worker looks at the campaign, or none of its slices is free. */
const holdsFor = 3;
/** A campaign waits until this share of a second's worth of tokens is there: that means fewer looks, and no bursts. */
const waitsForShare = 0.25;

/**
 * Lua: what the rate of a campaign allows, stored as the number of tokens at a time. At most one second's worth is saved up, but at least one
 * message. A time in the future is from before the clock of Redis was set back, and counts as now.
 */
export const allowance = `
local function openAllowance(campaign, now, rate)
  local perMs, most = rate.count / rate.windowMs, math.max(1, rate.count * 1000 / rate.windowMs)
  local stored = redis.call('HMGET', campaign, 'tokens', 'tokensAt')
  local at = tonumber(stored[2] or now)
  if at > now then
    redis.call('HSET', campaign, 'tokensAt', now)
    at = now
  end
  local tokens = math.min(most, tonumber(stored[1] or most) + (now - at) * perMs)
  return {
    left = function() return math.floor(tokens) end,
    take = function(n)
      redis.call('HSET', campaign, 'tokens', string.format('%.17g', tokens - n), 'tokensAt', now)
    end,
    freeAt = function() return math.ceil(now + (math.max(1, most * ${waitsForShare}) - tokens) / perMs) end
  }
end
`;

/**
 * Lua: messages settled per second, from one look to a later one. It holds until `paceEnds`. A look after that begins anew: how long the campaign
 * stood still says nothing about its pace.
 */
export const measure = `
local function measurePace(campaign, now, pending, rate)
  local ms = type(rate) == 'table' and math.max(${paceMs}, rate.windowMs / rate.count) or ${paceMs}
  local stored = redis.call('HMGET', campaign, 'paceAt', 'paceLeft', 'paceEnds')
  local spent = now - tonumber(stored[1] or now)
  -- less than 0: the clock of Redis was put back
  if stored[1] and spent >= 0 and spent < ms then return end
  if now > tonumber(stored[3] or 0) then
    redis.call('HDEL', campaign, 'pace')
  elseif spent > 0 then
    local settled = math.max(0, tonumber(stored[2]) - pending)
    redis.call('HSET', campaign, 'pace', string.format('%.17g', settled * 1000 / spent))
  end
  redis.call('HSET', campaign, 'paceAt', now, 'paceLeft', pending, 'paceEnds', string.format('%.0f', now + ${holdsFor} * ms))
end
`;
