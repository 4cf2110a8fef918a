/**
 * The atomic steps in the life of an email, but for those that change it (email-commit.ts). The client sends a command again when its answer was
 * lost with the connection, so a repeat changes nothing and gets the same answer as the first time.
 */
import { heavyHeadBytes, heavyMark } from './content.ts';
import { addPostings } from './email-index.ts';
import { script } from './redis.ts';

/**
 * Stores emails, all or none. KEYS bell outbox index fileUses batchClaim unindexed, a key for each file, then for each email: email content claim due.
 * ARGV now claimMs strict batchHash, number of files and their bytes, then for each email:
 *   id, dueAt, facts, state, content, event, claimHash, postings added now, postings added later or '', number of files and their hashes;
 *   an empty id alone, and no keys, for one that was refused before and only keeps its place.
 * A claim is kept as `hash id,id,…`, with nothing in place of an id where none was stored; behind a further space stand the places, from 0, of
 * emails whose own key clashed. An empty hash claims nothing. A file's key ends in its hash, 43 characters; one that came with emails that all
 * met a claim is taken away again.
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
local ids, clashes, ring, unindexed = {}, {}, false, 0
local function store(i, email)
  local at, key = email[1], email[2]
  local id, dueAt, hash = ARGV[at], ARGV[at + 1], ARGV[at + 6]
  if met[i] ~= '' then
    local isKnown = string.sub(met[i], 1, #hash + 1) == hash .. ' '
    ids[i] = isKnown and string.sub(met[i], #hash + 2) or ''
    if not isKnown then clashes[#clashes + 1] = i - 1 end
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
if batchHash ~= '' then
  local claim = batchHash .. ' ' .. table.concat(ids, ',')
  if #clashes > 0 then claim = claim .. ' ' .. table.concat(clashes, ',') end
  redis.call('SET', KEYS[5], claim, 'PX', claimMs)
end
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
