/**
 * The atomic steps in the life of an email, except its creation (email-create.ts) and its changes (email-commit.ts). The client sends a command
 * again when its answer was lost with the connection, so a repeat changes nothing and gets the same answer as the first time.
 */
import { heavyHeadBytes, heavyMark } from './content.ts';
import { script } from './redis.ts';

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

/** KEYS emails. Answers the facts of each; of a key that holds something else false, so that the others are read. */
export const factsScript = script(
  `
local answer = {}
for i, key in ipairs(KEYS) do
  local facts = redis.pcall('HGET', key, 'facts')
  answer[i] = type(facts) == 'string' and facts
end
return answer`,
  'at_once',
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
