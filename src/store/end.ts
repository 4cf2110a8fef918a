/** The entry for an email that ended: 22 bytes, because a million of them are kept for days. */
import { idByteLength, idBytes, idFromBytes } from '../domain/id.ts';
import { redisClock } from './clock.ts';
import { script } from './redis.ts';

/** `at`: milliseconds since the epoch; `version`: the version it ended with, which shows whether the email changed since. */
export type End = { readonly id: string; readonly at: number; readonly version: number };

/** The part of a version that is kept: enough to distinguish the versions of one email. */
const versionMask = 0xffff;

/** The time is rounded up to seconds. */
export function packEnd({ id, at, version }: End): Buffer {
  const bytes = Buffer.allocUnsafe(idByteLength + 6);
  idBytes(id).copy(bytes);
  bytes.writeUInt32BE(Math.ceil(at / 1_000), idByteLength);
  bytes.writeUInt16BE(version & versionMask, idByteLength + 4);
  return bytes;
}

/** Lua: `endingAt` is an end with another time, in seconds since the epoch. */
const endingAt = `
local function endingAt(packed, at)
  return string.sub(packed, 1, ${idByteLength}) .. struct.pack('>I4', at) .. string.sub(packed, ${idByteLength + 5})
end
`;

/**
 * Lua: appends an end to its list. None is later than now by the clock of Redis: one from a process whose clock is ahead would stay at
 * the head of the list for as long, and nothing after it would be removed.
 */
export const noteEnd = `${redisClock}${endingAt}
local latest
local function noteEnd(ended, packed)
  latest = latest or math.ceil(redisNow() / 1000)
  local at = struct.unpack('>I4', packed, ${idByteLength + 1})
  if at > latest then packed = endingAt(packed, latest) end
  redis.call('RPUSH', ended, packed)
end
`;

/** Lua: moves an end to the back of its list, as an end of now by the clock of Redis: it is looked at again after as long as the first time. */
export const renewEnd = `${redisClock}${endingAt}
local function renewEnd(list, packed)
  redis.call('RPUSH', list, endingAt(packed, math.ceil(redisNow() / 1000)))
end
`;

/** Ends that are moved in one step, which takes a millisecond or two. */
const maxMoved = 1_000;

/**
 * The head of a list of ends. An end later than now was noted before the clock of Redis was set back: it moves to the back, as
 * an end of now, so that it holds up none of them. KEYS list; ARGV how many. The first write is one that a full Redis takes.
 */
export const headScript = script(
  `${redisClock}${endingAt}
local latest = math.ceil(redisNow() / 1000)
for _ = 1, ${maxMoved} do
  local packed = redis.call('LINDEX', KEYS[1], 0)
  if not packed or struct.unpack('>I4', packed, ${idByteLength + 1}) <= latest then break end
  redis.call('LPOP', KEYS[1])
  redis.call('RPUSH', KEYS[1], endingAt(packed, latest))
end
return redis.call('LRANGE', KEYS[1], 0, ARGV[1] - 1)`,
  'bytes',
);

export function unpackEnd(bytes: Buffer): End {
  const at = bytes.readUInt32BE(idByteLength) * 1_000;
  return { id: idFromBytes('em', bytes.subarray(0, idByteLength)), at, version: bytes.readUInt16BE(idByteLength + 4) };
}

/** Whether an email of this version is still as it ended. */
export function isAsItEnded(end: End, version: number): boolean {
  return (version & versionMask) === end.version;
}
