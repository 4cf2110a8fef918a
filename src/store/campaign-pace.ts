/** The pace of a campaign: what its rate allows, and the measured pace. Both survive a clock of Redis that is set back. */

/** The pace is measured over at least this long. */
const paceMs = 3_000;
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

/** Lua: messages settled per second, from one look to a later one. */
export const measure = `
local function measurePace(campaign, now, pending)
  local stored = redis.call('HMGET', campaign, 'paceAt', 'paceLeft')
  local spent = now - tonumber(stored[1] or now)
  -- less than 0: the clock of Redis was put back
  if stored[1] and spent >= 0 and spent < ${paceMs} then return end
  if stored[1] and spent > 0 then
    local settled = math.max(0, tonumber(stored[2]) - pending)
    redis.call('HSET', campaign, 'pace', string.format('%.1f', settled * 1000 / spent))
  end
  redis.call('HSET', campaign, 'paceAt', now, 'paceLeft', pending)
end
`;
