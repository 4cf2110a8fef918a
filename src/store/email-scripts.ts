/**
 * The atomic steps in the life of an email. The client sends a command again when its answer was lost with the connection, so a repeat
 * changes nothing and gets the same answer as the first time.
 */
import { maxTimelineSteps } from '../domain/timeline.ts';
import { countMoved } from './campaign-count.ts';
import { heavyHeadBytes, heavyMark } from './content.ts';
import { markAgain } from './due.ts';
import { addPostings } from './email-index.ts';
import { noteEnd } from './end.ts';
import { script } from './redis.ts';
import { addSuppression } from './suppressions.ts';

/**
 * Stores emails, all or none. KEYS bell outbox index fileUses batchClaim unindexed, a key for each file, then for each email: email content claim due.
 * ARGV now claimMs strict batchHash, number of files and their bytes, then for each email:
 *   id, dueAt, facts, state, content, event, claimHash, postings added now, postings added later or '', number of files and their hashes;
 *   an empty id alone, and no keys, for one that was refused before and only keeps its place.
 * A claim is kept as `hash id,id,…`; an empty hash claims nothing. A file's key ends in its hash, 43 characters; one that came with emails
 * that all met a claim is taken away again.
 * Answers [0, claim] for a batch that was claimed before, else [stored, claims, unindexed]: for each email the claim it met, or '', and how many
 * emails are to be indexed later, up to the last of these. With `strict` nothing is stored when one of them came with another hash.
 */
export const createScript = script(
  `${addPostings}
local now, claimMs, strict, batchHash = ARGV[1], ARGV[2], ARGV[3] == '1', ARGV[4]
if batchHash ~= '' then
  local prior = redis.call('GET', KEYS[5])
  if prior then return {0, prior} end
end
local files = tonumber(ARGV[5])
local emails, met, clash = {}, {}, false
local at, key = 6 + files, 7 + files
local function read()
  local hash = ARGV[at + 6]
  local prior = hash ~= '' and redis.call('GET', KEYS[key + 2]) or ''
  if prior ~= '' and string.sub(prior, 1, #hash + 1) ~= hash .. ' ' then clash = true end
  emails[#emails + 1], met[#met + 1] = {at, key}, prior
  at, key = at + 10 + tonumber(ARGV[at + 9]), key + 4
end
while at <= #ARGV do
  if ARGV[at] == '' then
    emails[#emails + 1], met[#met + 1], at = false, '', at + 1
  else
    read()
  end
end
if strict and clash then return {0, met} end
for i = 1, files do redis.call('SET', KEYS[6 + i], ARGV[5 + i], 'NX') end
local ids, ring, unindexed = {}, false, 0
local function store(i, email)
  local at, key = email[1], email[2]
  local id, dueAt, hash = ARGV[at], ARGV[at + 1], ARGV[at + 6]
  if met[i] ~= '' then
    ids[i] = string.sub(met[i], 1, #hash + 1) == hash .. ' ' and string.sub(met[i], #hash + 2) or ''
    return
  end
  ids[i] = id
  if hash ~= '' then redis.call('SET', KEYS[key + 2], hash .. ' ' .. id, 'PX', claimMs) end
  if redis.call('HSETNX', KEYS[key], 'version', 1) == 0 then return end
  redis.call('HSET', KEYS[key], 'facts', ARGV[at + 2], 'state', ARGV[at + 3])
  redis.call('SET', KEYS[key + 1], ARGV[at + 4])
  redis.call('ZADD', KEYS[key + 3], dueAt, id)
  redis.call('XADD', KEYS[2], '*', 'event', ARGV[at + 5])
  addPostings(KEYS[3], ARGV[at + 7])
  if ARGV[at + 8] ~= '' then unindexed = redis.call('RPUSH', KEYS[6], ARGV[at + 8]) end
  local hashes = {}
  for j = at + 10, at + 9 + tonumber(ARGV[at + 9]) do
    redis.call('HINCRBY', KEYS[4], ARGV[j], 1)
    hashes[#hashes + 1] = ARGV[j]
  end
  if #hashes > 0 then redis.call('HSET', KEYS[key], 'files', table.concat(hashes)) end
  if tonumber(dueAt) <= tonumber(now) then ring = true end
end
for i, email in ipairs(emails) do
  if email then store(i, email) else ids[i] = '' end
end
if ring and redis.call('LLEN', KEYS[1]) == 0 then redis.call('LPUSH', KEYS[1], 1) end
for i = 1, files do
  local hash = string.sub(KEYS[6 + i], -43)
  if redis.call('HEXISTS', KEYS[4], hash) == 0 then redis.call('DEL', KEYS[6 + i]) end
end
if batchHash ~= '' then redis.call('SET', KEYS[5], batchHash .. ' ' .. table.concat(ids, ','), 'PX', claimMs) end
return {1, met, unindexed}`,
  'at_once',
);

/** KEYS for each email: email campaign; ARGV for each: version handOver. Answers 1 for each claimed; none is if its campaign does not run. */
export const claimScript = script(
  `
local answers = {}
for i = 1, #KEYS, 2 do
  local key, version, handOver = KEYS[i], ARGV[i], ARGV[i + 1]
  local stored = redis.call('HMGET', key, 'version', 'handOver')
  local isOurs = stored[2] == handOver
  local status = KEYS[i + 1] ~= key and redis.call('HGET', KEYS[i + 1], 'status')
  local isHeld = status == 'paused' or status == 'canceled'
  if stored[1] == version and not stored[2] and not isHeld then
    redis.call('HSET', key, 'handOver', handOver)
    isOurs = true
  end
  answers[#answers + 1] = isOurs and 1 or 0
end
return answers`,
  'at_once',
);

/** KEYS for each email: email content. Answers for each: facts state version handOver content; of a heavy content its head alone. */
export const loadScript = script(
  `
local answer = {}
for i = 1, #KEYS, 2 do
  local stored = redis.call('HMGET', KEYS[i], 'facts', 'state', 'version', 'handOver')
  for j = 1, 4 do answer[#answer + 1] = stored[j] end
  local head = redis.call('GETRANGE', KEYS[i + 1], 0, ${heavyHeadBytes - 1})
  local isHeavy = string.byte(head) == ${heavyMark}
  answer[#answer + 1] = isHeavy and head or redis.call('GET', KEYS[i + 1])
end
return answer`,
  'bytes',
);

/**
 * Lua: writes an email's new state, its timeline step and its events. Refused when the version is no longer the one decided upon, or when
 * another attempt is handing the email over: that attempt settles it.
 *
 * `change`   id of a change that a caller asked for; '' for none
 * `attempt`  id of the attempt whose hand-over this settles; '' when nothing was handed over
 *
 * ARGV[at]      version decided upon
 * ARGV[at + 1]  state
 * ARGV[at + 2]  timeline step; '' only counts a transport fault
 * ARGV[at + 3]  posting to remove from the index; '' when the status stays
 * ARGV[at + 4]  posting to add in its place
 * ARGV[at + 5]  entry for `ended`; '' while it has not ended
 * ARGV[at + 6]  now
 * ARGV[at + 7]  what its campaign counted it as; '' when that stays
 * ARGV[at + 8]  what its campaign counts it as now
 * ARGV[at + 9]  number of events
 * ARGV[at + 10] number of suppressions
 * ARGV[at + 11] the events, then field, value and entry of each suppression
 *
 * Steps are numbered without gaps, so that the oldest is known when there are too many.
 */
export const commit = `${addSuppression}${countMoved}${noteEnd}
local function commit(key, campaign, at, change, attempt)
  local outbox, index, suppressions, ids, ended, campaignsDue = KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
  local stored = redis.call('HMGET', key, 'version', 'state', 'handOver', 'faults', 'change')
  local version = tonumber(ARGV[at])
  if stored[1] ~= ARGV[at] then
    local isSame = tonumber(stored[1]) == version + 1 and stored[2] == ARGV[at + 1]
    return isSame and (change == '' or stored[5] == change)
  end
  if stored[3] then
    if attempt == '' or cjson.decode(stored[3]).attemptId ~= attempt then return false end
    redis.call('HDEL', key, 'handOver')
  end
  if ARGV[at + 2] == '' then
    redis.call('HSET', key, 'state', ARGV[at + 1], 'version', version + 1)
    redis.call('HINCRBY', key, 'faults', 1)
  else
    local step = version + 1 - tonumber(stored[4] or 0)
    redis.call('HSET', key, 'state', ARGV[at + 1], 'version', version + 1, 't' .. step, ARGV[at + 2])
    if step > ${maxTimelineSteps} then redis.call('HDEL', key, 't' .. step - ${maxTimelineSteps}) end
  end
  if ARGV[at + 3] ~= '' then
    redis.call('ZREM', index, ARGV[at + 3])
    redis.call('ZADD', index, 0, ARGV[at + 4])
  end
  if ARGV[at + 5] ~= '' then noteEnd(ended, ARGV[at + 5]) end
  local afterEvents = at + 11 + tonumber(ARGV[at + 9])
  for i = at + 11, afterEvents - 1 do redis.call('XADD', outbox, '*', 'event', ARGV[i]) end
  for i = afterEvents, afterEvents + 3 * tonumber(ARGV[at + 10]) - 1, 3 do
    addSuppression(suppressions, ids, ARGV[i], ARGV[i + 1], ARGV[i + 2])
  end
  if ARGV[at + 7] ~= '' then countMoved(campaign, outbox, campaignsDue, ARGV[at + 6], ARGV[at + 7], ARGV[at + 8], 1) end
  return true
end
`;

/**
 * Commits attempts. KEYS bell outbox index suppressions suppressionIds ended campaignsDue, then for each email: email again campaign;
 * ARGV now, then for each: id, attempt, when it comes again or '', then what `commit` takes.
 */
export const commitScript = script(
  `${markAgain}${commit}
local answers, at = {}, 2
for i = 8, #KEYS, 3 do
  local isDone = commit(KEYS[i], KEYS[i + 2], at + 3, '', ARGV[at + 1])
  if isDone and ARGV[at + 2] ~= '' then markAgain(KEYS[1], KEYS[i + 1], ARGV[1], ARGV[at + 2], ARGV[at]) end
  answers[#answers + 1] = isDone and 1 or 0
  at = at + 14 + tonumber(ARGV[at + 12]) + 3 * tonumber(ARGV[at + 13])
end
return answers`,
  'at_once',
);

/**
 * Commits a change that a caller asked for. Lost while a hand-over stands; refused when the email would be due without its content. A repeat of
 * the last change of the email does nothing. A mark in `again` that is due already stays: the email may have been released with a permit, which
 * the worker that takes it voids.
 * KEYS bell outbox index suppressions suppressionIds ended campaignsDue email content due again campaign; ARGV change id, email id, when it is
 * due now or '', then what `commit` takes, and last a content in place of one that is gone, or ''. Answers `done`, `lost`, `content_gone` or
 * `campaign_canceled`.
 */
export const changeScript = script(`${commit}
local id, dueAt, content = ARGV[2], ARGV[3], ARGV[#ARGV]
if redis.call('HGET', KEYS[8], 'change') == ARGV[1] then return 'done' end
if dueAt ~= '' and content == '' and redis.call('EXISTS', KEYS[9]) == 0 then return 'content_gone' end
if redis.call('HGET', KEYS[8], 'version') == ARGV[4] and isTooLate(KEYS[12], ARGV[12]) then return 'campaign_canceled' end
if not commit(KEYS[8], KEYS[12], 4, ARGV[1], '') then return 'lost' end
redis.call('HSET', KEYS[8], 'change', ARGV[1])
if content ~= '' then redis.call('SET', KEYS[9], content, 'NX') end
if tonumber(redis.call('ZSCORE', KEYS[11], id) or 'inf') > tonumber(ARGV[10]) then redis.call('ZREM', KEYS[11], id) end
if dueAt == '' then
  redis.call('ZREM', KEYS[10], id)
else
  redis.call('ZADD', KEYS[10], dueAt, id)
  if redis.call('LLEN', KEYS[1]) == 0 then redis.call('LPUSH', KEYS[1], 1) end
end
return 'done'`);

/**
 * Replaces URLs by fetched files, if the email is unchanged since it was loaded: an email that ended keeps its files.
 * KEYS email content fileUses, a key for each file; ARGV version content, then hash and bytes of each file.
 */
export const keepFilesScript = script(`
if redis.call('HGET', KEYS[1], 'version') ~= ARGV[1] then return 0 end
if redis.call('GET', KEYS[2]) == ARGV[2] then return 1 end
redis.call('SET', KEYS[2], ARGV[2])
local hashes = {redis.call('HGET', KEYS[1], 'files') or ''}
for i = 4, #KEYS do
  local at = 2 * i - 5
  redis.call('SET', KEYS[i], ARGV[at + 1], 'NX')
  redis.call('HINCRBY', KEYS[3], ARGV[at], 1)
  hashes[#hashes + 1] = ARGV[at]
end
redis.call('HSET', KEYS[1], 'files', table.concat(hashes))
return 1`);
