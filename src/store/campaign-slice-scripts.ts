/**
 * The atomic steps that work off the places of a campaign. A repeat of a command changes nothing and gets the same answer as the first time,
 * as in email-scripts.ts.
 */
import { chunkSize, mostAgainMs, placeMarks, sliceSize } from '../domain/campaign.ts';
import { asideSlices, packedHold } from './campaign-aside.ts';
import { campaignIdIn, countMoved } from './campaign-count.ts';
import { allowance, measure } from './campaign-pace.ts';
import { redisClock } from './clock.ts';
import { named } from './named.ts';
import { script } from './redis.ts';

/** Most slices without work that one run passes over: it must not block Redis. */
const looksPerRun = 500;
/** Lua: the marks of a slice. */
const marksOf = `
local function marksOf(marks, slice)
  return redis.call('GETRANGE', marks, slice * ${sliceSize}, slice * ${sliceSize} + ${sliceSize - 1})
end
`;

export const takeKeys = named('campaign', 'marks', 'slices', 'takers', 'outbox', 'due', 'asideKey');
/** The ids of the takes in hand follow, then the transports for which the caller takes no slice. */
export const takeArguments = named(
  'take', // its id
  'leaseMs',
  'graceMs', // how long a slice with a lapsed lease is spared
  'isOldOnly', // '1' when the caller takes no new slice
  'inHandCount', // takes that the caller has in hand
);

/**
 * Starts a scheduled campaign whose time has come. Once a campaign is canceled, its slices are taken again from the first on, to cancel pending
 * and held recipients.
 *
 * For each slice in hand its hold is stored (campaign-aside.ts), followed by `lapsed` once its lease was found to be over. Redis may have been away
 * while the worker lived, so another worker gets the slice only if the lease is not renewed for a while after that.
 *
 * Answers [milliseconds until the next look, '' when nothing is left that the caller takes, started], or ['', started, status, startedAt, slice,
 * its marks, messages that may be sent, the transport it was set aside for or '']. `started` is the number of recipients when this command started
 * the campaign, else 0.
 */
export const takeScript = script(
  `${countMoved}${marksOf}${allowance}${measure}${packedHold}${asideSlices}
${takeKeys.read('KEYS')}
${takeArguments.read('ARGV')}
local aside, now, takesNew = openAside(asideKey), redisNow(), isOldOnly ~= '1'
local inHand, isResting, firstId = {}, {}, ${takeArguments.count + 1}
for i = firstId, #ARGV do (i < firstId + inHandCount and inHand or isResting)[ARGV[i]] = true end
local id = campaignIdIn(campaign)
local names = {'status', 'scheduledAt', 'startedAt', 'chunks', 'cursor', 'n:pending', 'n:outcome_unknown', 'n:recipients', 'recall', 'head'}
local stored, started = {}, 0
for i, value in ipairs(redis.call('HMGET', campaign, unpack(names))) do stored[names[i]] = value end
local status = stored.status

local function answer(slice, allowed, waitedFor)
  return {'', started, status, stored.startedAt or now, slice, marksOf(marks, slice), allowed, waitedFor or ''}
end
local held = redis.call('HGETALL', takers)
for i = 1, #held, 2 do
  local holder, allowed, _, waitsFor = unpackHold(held[i + 1])
  if holder == take then return answer(tonumber(held[i]), allowed, string.match(waitsFor, '^[^,]+')) end
end

local function rest(at)
  if at then
    redis.call('ZADD', due, at, id)
    return {string.format('%.0f', math.max(0, at - now)), started}
  end
  redis.call('ZREM', due, id)
  if status then redis.call('HDEL', campaign, 'pace', 'paceAt', 'paceLeft', 'paceEnds') end
  return {'', started}
end
local function start()
  status, stored.startedAt, started = 'running', now, tonumber(stored['n:recipients'] or 0)
  redis.call('HSET', campaign, 'status', status, 'startedAt', now)
  tellOfCampaign(campaign, outbox, now, 'started')
  if tonumber(stored['n:pending'] or 0) > 0 then return end
  status = 'completed'
  completeCampaign(campaign, outbox, due, now)
end
if status == 'scheduled' then
  if tonumber(stored.scheduledAt) > now then return rest(tonumber(stored.scheduledAt)) end
  start()
end
local unended = tonumber(stored['n:pending'] or 0) + tonumber(stored['n:outcome_unknown'] or 0)
if status ~= 'running' and (status ~= 'canceled' or unended == 0) then return rest() end
local isRunning = status == 'running'
local rate = isRunning and cjson.decode(stored.head).rate
if isRunning then measurePace(campaign, now, tonumber(stored['n:pending']), rate) end

local allowance = type(rate) == 'table' and openAllowance(campaign, now, rate)
if allowance and allowance.left() < 1 then return rest(allowance.freeAt()) end

local cursor, ends = tonumber(stored.cursor or 0), tonumber(stored.chunks or 0) * ${chunkSize}
if not isRunning and not stored.recall then
  cursor = 0
  redis.call('HSET', campaign, 'recall', 1, 'cursor', cursor)
  redis.call('DEL', asideKey)
end
local work = isRunning and '[${placeMarks.queued}${placeMarks.handing}]' or '[${placeMarks.queued}${placeMarks.handing}${placeMarks.left}]'
local function give(slice, waitsFor)
  local allowed = select(2, string.gsub(marksOf(marks, slice), '${placeMarks.queued}', ''))
  if allowance then
    allowed = math.min(allowed, allowance.left())
    allowance.take(allowed)
  end
  redis.call('ZADD', slices, now + leaseMs, slice)
  redis.call('HSET', takers, slice, packHold(take, allowed, now, table.concat(waitsFor, ',')))
  -- the campaign that just had its turn comes last
  redis.call('ZADD', due, now, id)
  return answer(slice, allowed, waitsFor[1])
end
local function isFree(slice)
  local held = redis.call('HGET', takers, slice)
  if not held then return true end
  local holder, allowed, _, waitsFor, isLapsed = unpackHold(held)
  if inHand[holder] then
    redis.call('HSET', takers, slice, packHold(holder, allowed, now, waitsFor))
    redis.call('ZADD', slices, now + leaseMs, slice)
  elseif not isLapsed then
    redis.call('HSET', takers, slice, held .. ' lapsed')
    redis.call('ZADD', slices, now + graceMs, slice)
  else
    return true
  end
  return false
end
-- What begins later than now was written before the clock of Redis was put back. It begins now.
local function restart(slice, ends)
  local held = redis.call('HGET', takers, slice)
  if not held then
    if ends <= now + ${mostAgainMs} then return false end
    redis.call('ZADD', slices, now, slice)
    return true
  end
  local holder, allowed, since, waitsFor = unpackHold(held)
  if since <= now then return false end
  redis.call('HSET', takers, slice, packHold(holder, allowed, now, waitsFor))
  redis.call('ZADD', slices, now + ends - since, slice)
  return true
end
for look = 1, ${looksPerRun} do
  local slice, waitsFor = redis.call('ZRANGEBYSCORE', slices, '-inf', now, 'LIMIT', 0, 1)[1], nil
  if slice then
    slice = isFree(slice) and tonumber(slice)
  else
    if isRunning then slice, waitsFor = aside.take(isResting) end
    if not slice and cursor < ends and takesNew then
      slice = math.floor(cursor / ${sliceSize})
      cursor = cursor + ${sliceSize}
      redis.call('HSET', campaign, 'cursor', cursor)
      if redis.call('ZSCORE', slices, slice) then slice = nil end
    elseif not slice then
      local last = redis.call('ZREVRANGE', slices, 0, 0, 'WITHSCORES')
      if not last[1] or not restart(last[1], tonumber(last[2])) then
        -- what this caller leaves is due for others, and for itself later
        if isRunning and (cursor < ends or not aside.isEmpty()) then return {'', started} end
        return rest(tonumber(redis.call('ZRANGE', slices, 0, 0, 'WITHSCORES')[2]))
      end
    end
  end
  if slice and string.find(marksOf(marks, slice), work) then return give(slice, waitsFor or {}) end
  if slice then
    redis.call('ZREM', slices, slice)
    redis.call('HDEL', takers, slice)
  end
end
return rest(now)`,
);

export const releaseKeys = named('campaign', 'marks', 'slices', 'takers', 'due', 'asideKey');
/** The transports follow that all that are left wait for. */
export const releaseArguments = named(
  'take', // its id
  'slice',
  'statusTaken', // of the campaign when the slice was taken
  'againIn', // how long until the slice is to be looked at again; '' when all is done or waits
  'unused', // messages that could have left and did not
  'settled', // how many recipients
);

/** What was taken by another meanwhile stays with that one. */
export const releaseScript = script(
  `${redisClock}${campaignIdIn}${marksOf}${asideSlices}
${releaseKeys.read('KEYS')}
${releaseArguments.read('ARGV')}
slice, unused = tonumber(slice), tonumber(unused)
local status = redis.call('HGET', campaign, 'status')
if not status or string.match(redis.call('HGET', takers, slice) or '', '^%S+') ~= take then return 0 end
redis.call('HDEL', takers, slice)
if tonumber(settled) > 0 then redis.call('HSET', campaign, 'movedAt', redisNow()) end
if unused > 0 and redis.call('HEXISTS', campaign, 'tokens') == 1 then redis.call('HINCRBYFLOAT', campaign, 'tokens', unused) end
local isOpen = string.find(marksOf(marks, slice), '[${placeMarks.queued}${placeMarks.handing}]')
if againIn == '' and isOpen and status ~= 'canceled' and #ARGV > ${releaseArguments.count} then
  redis.call('ZREM', slices, slice)
  openAside(asideKey).put(slice, {unpack(ARGV, ${releaseArguments.count + 1})})
  redis.call('ZADD', due, 'LT', redisNow(), campaignIdIn(campaign))
  return 1
end
-- canceled meanwhile: what left its place is yet to be ended
if againIn == '' and (isOpen or (status == 'canceled' and statusTaken ~= status)) then againIn = 0 end
if againIn == '' then
  redis.call('ZREM', slices, slice)
else
  local again = redisNow() + againIn
  redis.call('ZADD', slices, again, slice)
  redis.call('ZADD', due, 'LT', again, campaignIdIn(campaign))
end
return 1`,
);

/** KEYS slices and takers of each slice; ARGV how long leases last, then for each: slice take. */
export const renewScript = script(`${redisClock}${packedHold}
local now = redisNow()
for i = 1, #KEYS, 2 do
  local slice, take = ARGV[i + 1], ARGV[i + 2]
  local holder, allowed, _, waitsFor = unpackHold(redis.call('HGET', KEYS[i + 1], slice) or '')
  if holder == take then
    redis.call('ZADD', KEYS[i], 'XX', now + ARGV[1], slice)
    redis.call('HSET', KEYS[i + 1], slice, packHold(holder, allowed, now, waitsFor))
  end
end`);

/**
 * KEYS campaignsDue; ARGV how many at most, when the caller looked last. Answers what time it is, how long until another is due, '' for never,
 * then the ids of those that are.
 */
export const dueScript = script(`${redisClock}
local now = redisNow()
if tonumber(ARGV[2]) > now then
  -- a campaign that is not due is found so at its turn
  local later = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf', 'LIMIT', 0, ARGV[1])
  for _, id in ipairs(later) do redis.call('ZADD', KEYS[1], now, id) end
end
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
local nextAt = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
table.insert(ids, 1, nextAt and string.format('%.0f', nextAt - now) or '')
table.insert(ids, 1, string.format('%.0f', now))
return ids`);

/** KEYS for each campaign: campaign marks takers; ARGV for each place: index of its campaign (from 0), place, take. Answers 1 for claimed. */
export const claimScript = script(
  `
local running, holders, answers = {}, {}, {}
for i = 1, #ARGV, 3 do
  local at, place = 3 * tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  local campaign, marks, takers = KEYS[at + 1], KEYS[at + 2], KEYS[at + 3]
  local slice = math.floor(place / ${sliceSize})
  local known = at .. ' ' .. slice
  if running[at] == nil then running[at] = redis.call('HGET', campaign, 'status') == 'running' end
  if holders[known] == nil then holders[known] = string.match(redis.call('HGET', takers, slice) or '', '^%S*') end
  local mark = redis.call('GETRANGE', marks, place, place)
  local isOurs = holders[known] == ARGV[i + 2]
  if isOurs and running[at] and mark == '${placeMarks.queued}' then
    redis.call('SETRANGE', marks, place, '${placeMarks.handing}')
    mark = '${placeMarks.handing}'
  end
  answers[#answers + 1] = isOurs and mark == '${placeMarks.handing}' and 1 or 0
end
return answers`,
  'at_once',
);
