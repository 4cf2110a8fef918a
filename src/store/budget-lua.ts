/** The rates of a transport in Lua: text at the beginning of other scripts. */
import { clockSkewMs } from '../domain/clock.ts';

/** The window of a quota is counted in this many parts; each part is free again when it is one window old. */
const partsOfWindow = 60;
/** After a late look, a rate per second may catch up by this much: one message in a hundred over ten seconds. */
const slackMs = 100;
/** No catching up when messages are further apart than this: one message more in ten seconds would be too many. */
const widestGapWithSlackMs = 500;
/** Messages of a fast rate may go this early, at most half a percent over ten seconds, so that not each message of a burst is parked. */
const aheadMs = 50;
const widestGapAheadMs = aheadMs / 2;
/** Longer than any quota's window: an unused budget goes away. */
export const budgetKeptMs = 2 * 86_400_000;

/**
 * `openBudget(key, now, rates)`: rates as a flat list of count and window, one for each window. `freeAt()` is when the next token comes,
 * `take()` takes a token of every rate or of none, `give(n, since)` gives back tokens that were taken at this time or just after, the oldest
 * first: given back to a later part of the window, they could be used twice in it. Tokens of a window that is over are not given back.
 * `giveToQuotas(n, since)` and `takeOfQuotas()` leave out a rate per second, `keep()` writes the changes. `left()` has three numbers for each
 * rate: tokens left, when the next token comes, when all tokens are there again; -1 for an unknown number.
 *
 * A rate per second is kept as the time until which the next message is on schedule, which it is from a slack before. One that comes later
 * begins a new schedule: nothing is saved up, and the first seconds have no more than others. A longer window is a list of `part:count`, oldest
 * first; one part more than a window has is counted, so that no window wherever it begins holds more than its count.
 */
export const budget = `
local function openPace(stored, now, count, windowMs)
  local gap = windowMs / count
  local slack = gap <= ${widestGapWithSlackMs} and ${slackMs} or 0
  local ahead = gap <= ${widestGapAheadMs} and ${aheadMs} or 0
  local on = tonumber(stored or 0)
  if on > now + 2 * gap + slack + ${clockSkewMs} then on = now end
  return {
    freeAt = function() return on - slack end,
    take = function() on = (on < now and now + slack - ahead or on) + gap end,
    give = function(n) on = on - n * gap end,
    left = function() return -1, on - slack, -1 end,
    text = function() return string.format('%.17g', on) end
  }
end
local function openQuota(stored, now, count, windowMs)
  local partMs = windowMs / ${partsOfWindow}
  local present = math.floor(now / partMs)
  local parts, total = {}, 0
  local function add(part, n)
    total = total + n
    local last = parts[#parts]
    if last and last[1] == part then last[2] = last[2] + n else parts[#parts + 1] = {part, n} end
  end
  for part, n in string.gmatch(stored or '', '(%d+):(%d+)') do
    if tonumber(part) >= present - ${partsOfWindow} then add(math.min(tonumber(part), present), tonumber(n)) end
  end
  local function freeAt()
    local left = total
    if left + 1 <= count then return now end
    for _, part in ipairs(parts) do
      left = left - part[2]
      if left + 1 <= count then return (part[1] + ${partsOfWindow + 1}) * partMs end
    end
    return now + windowMs
  end
  return {
    freeAt = freeAt,
    take = function() add(present, 1) end,
    give = function(n, since)
      if since < (present - ${partsOfWindow}) * partMs then return end
      for _, part in ipairs(parts) do
        local back = part[1] >= math.floor(since / partMs) and math.min(n, part[2]) or 0
        part[2], n, total = part[2] - back, n - back, total - back
      end
    end,
    left = function()
      return math.max(0, count - total), freeAt(), total > 0 and (parts[#parts][1] + ${partsOfWindow + 1}) * partMs or -1
    end,
    text = function()
      local texts = {}
      for i, part in ipairs(parts) do texts[i] = part[1] .. ':' .. part[2] end
      return table.concat(texts, ' ')
    end
  }
end
local function isPace(windowMs) return tonumber(windowMs) <= 1000 end
local function openBudget(key, now, rates)
  local names, limits, quotas, isChanged = {}, {}, {}, false
  for i = 2, #rates, 2 do names[#names + 1] = rates[i] end
  local stored = #names > 0 and redis.call('HMGET', key, unpack(names)) or {}
  for i, name in ipairs(names) do
    limits[i] = (isPace(name) and openPace or openQuota)(stored[i], now, tonumber(rates[i * 2 - 1]), tonumber(name))
    if not isPace(name) then quotas[#quotas + 1] = limits[i] end
  end
  local function freeAtOf(some)
    local at = 0
    for _, limit in ipairs(some) do at = math.max(at, limit.freeAt()) end
    return at
  end
  local function takeOf(some)
    if freeAtOf(some) > now then return false end
    for _, limit in ipairs(some) do limit.take() end
    isChanged = true
    return true
  end
  local function giveTo(some, n, since)
    for _, limit in ipairs(some) do limit.give(n, since) end
    isChanged = true
  end
  return {
    freeAt = function() return freeAtOf(limits) end,
    take = function() return takeOf(limits) end,
    takeOfQuotas = function() return takeOf(quotas) end,
    give = function(n, since) giveTo(limits, n, since) end,
    giveToQuotas = function(n, since) giveTo(quotas, n, since) end,
    left = function()
      local answer = {}
      for _, limit in ipairs(limits) do
        for _, number in ipairs({limit.left()}) do answer[#answer + 1] = number end
      end
      return answer
    end,
    keep = function()
      if not isChanged or #limits == 0 then return end
      local fields = {}
      for i, limit in ipairs(limits) do
        fields[#fields + 1] = names[i]
        fields[#fields + 1] = limit.text()
      end
      redis.call('HSET', key, unpack(fields))
      redis.call('PEXPIRE', key, ${budgetKeptMs})
    end
  }
end
-- the rates that begin with their number at ARGV[at], and the place of the next argument
local function ratesFrom(at)
  local rates, last = {}, at + 2 * tonumber(ARGV[at])
  for i = at + 1, last do rates[#rates + 1] = ARGV[i] end
  return rates, last + 1
end
`;

/** Campaigns that have not asked for this long wait no longer: one that is held up asks again after a second at the latest. */
const askedMs = 2_000;

/**
 * `openCampaignTokens(key, now, budget)`: tokens set aside for campaigns. Their mail is not parked, so that a release cannot see it. But it asks again
 * and again: while it does, it gets every other token of bulk, which waits until it asks next.
 *
 * `ask()` notes that it asked, `use()` takes a token that was set aside and counts it anew, as its message leaves then, `isWaiting(most)` is
 * whether one more may be set aside, `setAside()` does so, `keep()` writes the changes. Tokens that no campaign asked for go back to the quotas
 * of `budget`, unless there is none. They were taken since there was none: a campaign that asks may leave some of them. Once the first is a
 * window old, all are lost to that quota: it is not known which others are not, and a token too many would exceed it.
 */
export const campaignTokens = `
local function openCampaignTokens(key, now, budget)
  local stored = redis.call('HMGET', key, 'campaigns_asked', 'campaign_tokens', 'campaign_tokens_since')
  local asked, tokens, isChanged = tonumber(stored[1] or 0), tonumber(stored[2] or 0), false
  local since = tonumber(stored[3] or asked)
  local isLapsed = asked <= now - ${askedMs}
  if isLapsed and tokens > 0 and budget then
    budget.giveToQuotas(tokens, since)
    tokens, isChanged = 0, true
  end
  return {
    ask = function() asked, isLapsed, isChanged = now, false, true end,
    use = function()
      if tokens == 0 then return false end
      tokens, isChanged = tokens - 1, true
      budget.giveToQuotas(1, since)
      return budget.takeOfQuotas()
    end,
    isWaiting = function(most) return not isLapsed and tokens < most end,
    setAside = function()
      if tokens == 0 then since = now end
      tokens, isChanged = tokens + 1, true
    end,
    keep = function()
      if not isChanged then return end
      redis.call('HSET', key, 'campaigns_asked', asked, 'campaign_tokens', tokens, 'campaign_tokens_since', since)
      redis.call('PEXPIRE', key, ${budgetKeptMs})
    end
  }
end
`;
