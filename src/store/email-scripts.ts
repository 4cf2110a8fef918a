/**
 * The atomic steps in the life of an email, except its creation (email-create.ts) and its changes (email-commit.ts). The client sends a command
 * again when its answer was lost with the connection, so a repeat changes nothing and gets the same answer as the first time.
 */
import { heavyHeadBytes, heavyMark } from './content.ts';
import { named } from './named.ts';
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

/** A key for each file follows. */
export const keepFilesKeys = named('email', 'content', 'fileUses');
/** `fileArguments` of each file follow. */
export const keepFilesArguments = named(
  'version',
  'packed', // the new content
);
export const fileArguments = named('hash', 'bytes');

/** Replaces URLs by fetched files, if the email is unchanged since it was loaded: an email that ended keeps its files. */
export const keepFilesScript = script(`
${keepFilesKeys.read('KEYS')}
${keepFilesArguments.read('ARGV')}
if redis.call('HGET', email, 'version') ~= version then return 0 end
if redis.call('GET', content) == packed then return 1 end
redis.call('SET', content, packed)
local hashes = {redis.call('HGET', email, 'files') or ''}
local at = ${keepFilesArguments.count + 1}
for i = ${keepFilesKeys.count + 1}, #KEYS do
  ${fileArguments.read('ARGV', 'at')}
  redis.call('SET', KEYS[i], bytes, 'NX')
  redis.call('HINCRBY', fileUses, hash, 1)
  hashes[#hashes + 1] = hash
  at = at + ${fileArguments.count}
end
redis.call('HSET', email, 'files', table.concat(hashes))
return 1`);
