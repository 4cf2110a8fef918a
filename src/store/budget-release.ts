/** The atomic step that releases parked mail: as many emails as there are tokens for, each with a permit. */
import { bulkEvery } from '../domain/lane.ts';
import { ringBell } from './bell.ts';
import { budget, budgetKeptMs, campaignTokens } from './budget-lua.ts';
import { giveVoided, nameOf, parkedFraction, readBudgetKeys } from './budget-scripts.ts';
import { named } from './named.ts';
import { script } from './redis.ts';

/** A run looks at so many parked emails of a lane at most: those that no longer wait are cleared away, and must not hold up Redis. */
const looksPerRun = 2_000;
/** Read from Redis at a time. */
const looksPerRead = 100;
/** Emails that could be released within this time are released together. */
const restMs = 50;
/** Unused permits are looked at again after this long. */
const busyRestMs = 100;

/** What a release is given. Behind it stand the number of rates, then count and window of each. */
export const releaseArguments = named(
  'now',
  'most', // emails
  'mostPermits', // at a time
  'lapseAt', // of new permits
  'latestLapseAt', // possible, of a valid permit
  'mostTransactional',
  'mostBulk',
  'mostSetAside', // tokens, for campaigns
);

/**
 * Releases parked emails, and sets tokens aside for campaigns. ARGV `releaseArguments`, then the rates.
 *
 * Answers [released, left, nextAt]; nextAt is -1 when no email is left.
 *
 * The mark of a parked email in `again` ends in half a millisecond. An email with another mark, or none, was canceled, moved, or taken up
 * because its time was over: it waits no longer and takes no token.
 */
export const releaseScript = script(`${readBudgetKeys}${ringBell}${budget}${giveVoided}${campaignTokens}
${releaseArguments.read('ARGV')}
now, most = tonumber(now), tonumber(most)
local rates = ratesFrom(${releaseArguments.count + 1})
local budget = openBudget(budgetKey, now, rates)
local campaigns = openCampaignTokens(budgetKey, now, #rates > 0 and budget)
local room = most
if #rates > 0 then
  local lapsed = redis.call('ZRANGE', permitsKey, '-inf', now, 'BYSCORE', 'WITHSCORES')
  for i = 2, #lapsed, 2 do giveVoided(budget, lapsed[i]) end
  redis.call('ZREMRANGEBYSCORE', permitsKey, '-inf', now)
  redis.call('ZREMRANGEBYSCORE', permitsKey, '(' .. latestLapseAt, '+inf')
  room = math.min(most, tonumber(mostPermits) - redis.call('ZCARD', permitsKey))
end
local isCut = false
local function openLane(lane)
  local ids, marks, passed, isEnd = {}, {}, 0, false
  local function read()
    if isEnd then return false end
    if #ids >= ${looksPerRun} then
      isCut = true
      return false
    end
    local more = redis.call('ZRANGE', parkedIn[lane], #ids, #ids + ${looksPerRead - 1})
    isEnd = #more < ${looksPerRead}
    if #more == 0 then return false end
    for i, mark in ipairs(redis.call('ZMSCORE', againIn[lane], unpack(more))) do
      ids[#ids + 1], marks[#marks + 1] = more[i], tonumber(mark or 0)
    end
    return true
  end
  return {
    due = {},
    peek = function()
      while passed < #ids or read() do
        local mark = marks[passed + 1]
        if mark > now and mark % 1 == ${parkedFraction} then return ids[passed + 1] end
        passed = passed + 1
      end
    end,
    pass = function() passed = passed + 1 end,
    close = function(self)
      if passed > 0 then redis.call('ZREMRANGEBYRANK', parkedIn[lane], 0, passed - 1) end
      if #self.due > 0 then redis.call('ZADD', againIn[lane], unpack(self.due)) end
    end
  }
end
local lanes = {openLane(1), openLane(2)}
local serials = redis.call('HMGET', budgetKey, 'released', 'released_bulk')
local serial, serialOfBulk = tonumber(serials[1] or 0), tonumber(serials[2] or 0)
local released, leftOf, permits = 0, {tonumber(mostTransactional), tonumber(mostBulk)}, {}
local function release(of, id)
  local lane = lanes[of]
  lane.pass()
  released = released + 1
  leftOf[of] = leftOf[of] - 1
  lane.due[#lane.due + 1] = now
  lane.due[#lane.due + 1] = id
  permits[#permits + 1] = lapseAt
  permits[#permits + 1] = id
end
while released < room and budget.freeAt() <= now do
  local first, bulk = leftOf[1] > 0 and lanes[1].peek(), leftOf[2] > 0 and lanes[2].peek()
  if not first and not bulk then break end
  local isForCampaigns = leftOf[2] > 0 and campaigns.isWaiting(tonumber(mostSetAside)) and (not bulk or serialOfBulk % 2 == 1)
  local isBulk = (bulk or isForCampaigns) and (not first or serial % ${bulkEvery} == ${bulkEvery - 1})
  budget.take()
  serial = serial + 1
  if isBulk then serialOfBulk = serialOfBulk + 1 end
  if isBulk and isForCampaigns then campaigns.setAside() else release(isBulk and 2 or 1, isBulk and bulk or first) end
end
for _, lane in ipairs(lanes) do lane:close() end
budget.keep()
campaigns.keep()
if serial > tonumber(serials[1] or 0) then
  redis.call('HSET', budgetKey, 'released', serial, 'released_bulk', serialOfBulk)
  redis.call('PEXPIRE', budgetKey, ${budgetKeptMs})
end
if released > 0 then
  if #rates > 0 then
    redis.call('ZADD', permitsKey, unpack(permits))
    redis.call('PEXPIRE', permitsKey, latestLapseAt - now)
  end
  ringBell(bell)
end
local left = redis.call('ZCARD', parkedTransactional) + redis.call('ZCARD', parkedBulk)
if left == 0 then
  redis.call('SREM', parkedFor, ${nameOf})
  return {released, 0, -1}
end
local isFull = most > 0 and released >= room
if isCut or (isFull and released == most) then return {released, left, now} end
if isFull then return {released, left, now + ${busyRestMs}} end
return {released, left, math.ceil(math.max(now + ${restMs}, budget.freeAt()))}`);
