/**
 * The slices of campaigns that are set aside: each recipient left of one waits for a transport that could not take it. A sorted set with all
 * scores 0 has a member `transport:slice` for each transport that a slice waits for. A slice is either here or in `slices`.
 */
import type { Redis } from 'ioredis';
import { keys } from './keys.ts';
import { script } from './redis.ts';

/** No name of a transport has a colon: behind all members of a transport stands its name with the character that comes after the colon. */
const behind = ';';

/**
 * Lua: `take(isResting)` takes the first slice that waits for a transport which is not resting, and answers the slice and the names of all that
 * it waits for, this one first; nil when there is none. `put(slice, names)` sets a slice aside. `names()` are all that slices wait for.
 */
export const asideSlices = `
local function openAside(key)
  local function names()
    local found, from = {}, '-'
    while true do
      local member = redis.call('ZRANGEBYLEX', key, from, '+', 'LIMIT', 0, 1)[1]
      if not member then return found end
      local name = string.match(member, '^([^:]+):')
      found[#found + 1] = name
      from = '[' .. name .. '${behind}'
    end
  end
  return {
    names = names,
    isEmpty = function() return redis.call('EXISTS', key) == 0 end,
    take = function(isResting)
      local all = names()
      for _, name in ipairs(all) do
        if not isResting[name] then
          local member = redis.call('ZRANGEBYLEX', key, '[' .. name .. ':', '+', 'LIMIT', 0, 1)[1]
          local slice, waitsFor = string.match(member, ':(%d+)$'), {name}
          redis.call('ZREM', key, member)
          for _, other in ipairs(all) do
            if redis.call('ZREM', key, other .. ':' .. slice) == 1 then waitsFor[#waitsFor + 1] = other end
          end
          return tonumber(slice), waitsFor
        end
      end
    end,
    put = function(slice, waitsFor)
      for _, name in ipairs(waitsFor) do redis.call('ZADD', key, 0, name .. ':' .. slice) end
    end
  }
end
`;

/** Lua: what is stored for a slice in hand, and how it is read. `waitsFor`: the transports that it was set aside for, separated by commas. */
export const packedHold = `
local function packHold(take, allowed, since, waitsFor)
  return string.format('%s %d %.0f', take, allowed, since) .. (waitsFor == '' and '' or ' :' .. waitsFor)
end
local function unpackHold(held)
  local holder, allowed, since, more = string.match(held, '^(%S+) (%d+) (%d+)(.*)$')
  more = more or ''
  return holder, tonumber(allowed), tonumber(since), string.match(more, ' :(%S+)') or '', string.find(more, ' lapsed$') ~= nil
end
`;

/**
 * The transports that recipients of a campaign were found to wait for, by name, and those of one slice of it. While such a slice is in hand for
 * another try, its hold has the names.
 */
export type SetAside = { readonly all: readonly string[]; readonly ofSlice: readonly string[] };

/** KEYS aside takers; ARGV slice. One step: between two, a slice could go from where it is read later to where it was read before. */
const readScript = script(`${asideSlices}${packedHold}
local all, ofSlice, isKnown = openAside(KEYS[1]).names(), {}, {}
for _, name in ipairs(all) do
  isKnown[name] = true
  if redis.call('ZSCORE', KEYS[1], name .. ':' .. ARGV[1]) then ofSlice[#ofSlice + 1] = name end
end
local held = redis.call('HGETALL', KEYS[2])
for i = 1, #held, 2 do
  local _, _, _, waitsFor = unpackHold(held[i + 1])
  for name in string.gmatch(waitsFor, '[^,]+') do
    if held[i] == ARGV[1] then ofSlice[#ofSlice + 1] = name end
    if not isKnown[name] then all[#all + 1] = name end
    isKnown[name] = true
  end
end
return {all, ofSlice}`);

/** @param slice null when no slice is asked about */
export async function readAside(redis: Redis, campaignId: string, slice: number | null): Promise<SetAside> {
  const names = [keys.campaignAside(campaignId), keys.campaignTakers(campaignId)];
  const [all, ofSlice] = (await readScript(redis, names, [slice ?? ''])) as [string[], string[]];
  return { all, ofSlice };
}
