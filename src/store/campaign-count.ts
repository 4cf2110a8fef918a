/** The counts of a campaign: changed by the scripts that move its recipients, so they are exact at every moment. */
import { alphabet, campaignIdLength } from '../domain/id.ts';
import { redisClock } from './clock.ts';

/** Lua: the id of a campaign, with which its key ends. */
export const campaignIdIn = `
local function campaignIdIn(key) return string.sub(key, -${campaignIdLength}) end
`;

/**
 * Lua: `tellOfCampaign` writes an event about a campaign as a whole. The id of the event has the usual form: the time, by which it is found,
 * the random part of the campaign's id, and the number of the event where email ids have their place.
 *
 * `countMoved` moves `n` recipients of a campaign from the count `from` to the count `to` (both as `n:<count>`). The step that moves the last
 * pending recipient also completes the campaign. A campaign that is gone is not brought back.
 *
 * No recipient becomes pending again in a canceled campaign: the worker that cancels pending recipients may have passed it already.
 */
export const countMoved = `${redisClock}${campaignIdIn}
local function inDigits(number, count)
  local text = ''
  for _ = 1, count do
    local digit = number % 32 + 1
    text = string.sub('${alphabet}', digit, digit) .. text
    number = math.floor(number / 32)
  end
  return text
end
local function tellOfCampaign(campaign, outbox, now, name)
  local id, at = campaignIdIn(campaign), tonumber(now)
  local number = redis.call('HINCRBY', campaign, 'events', 1)
  local event = 'ev_' .. inDigits(at, 10) .. string.sub(id, 14, 24) .. inDigits(number, 5)
  redis.call('XADD', outbox, '*', 'event', cjson.encode({id = event, type = 'campaign.' .. name, at = at, campaignId = id}))
end
local function completeCampaign(campaign, outbox, due, now)
  redis.call('HSET', campaign, 'status', 'completed', 'endedAt', now)
  redis.call('HDEL', campaign, 'pace', 'paceAt', 'paceLeft', 'paceEnds')
  redis.call('ZREM', due, campaignIdIn(campaign))
  tellOfCampaign(campaign, outbox, now, 'completed')
end
local function isTooLate(campaign, to)
  return to == 'n:pending' and redis.call('HGET', campaign, 'status') == 'canceled'
end
local function countMoved(campaign, outbox, due, now, from, to, n)
  local status = redis.call('HGET', campaign, 'status')
  if not status or from == to then return end
  local left = redis.call('HINCRBY', campaign, from, -n)
  redis.call('HINCRBY', campaign, to, n)
  if to == 'n:pending' and status == 'completed' then
    redis.call('HSET', campaign, 'status', 'running')
    redis.call('HDEL', campaign, 'endedAt')
    redis.call('ZADD', due, redisNow(), campaignIdIn(campaign))
  elseif from == 'n:pending' and left == 0 and (status == 'running' or status == 'paused') then
    completeCampaign(campaign, outbox, due, now)
  end
end
`;
