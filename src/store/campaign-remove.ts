/** Removes a campaign: one step removes the campaign itself and notes its remaining keys, which are removed a few at a time. */
import type { Redis } from 'ioredis';
import type { CampaignStatus } from '../domain/campaign.ts';
import { addressBuckets } from './campaign-addresses.ts';
import { keys } from './keys.ts';
import { script } from './redis.ts';

/** Longer than an email that left a campaign waits for its next look. */
const calledOffMs = 30 * 86_400_000;

type Removed = 'removed' | 'gone' | CampaignStatus;

/**
 * KEYS campaign marks campaigns campaignsDue campaignsRemoved; ARGV id, when it must have ended at the latest ('' for a draft as well). Once
 * its marks are gone, no recipient leaves a place or is settled there. A canceled campaign that lost its marks is removed even if recipients are
 * pending or held: nobody can end them. Those that left their place and wait are canceled at their turn, so the campaign stays known as canceled
 * for as long as that may take. The first write is one that a full Redis takes.
 */
const removeScript = script(`
local stored = redis.call('HMGET', KEYS[1], 'status', 'chunks', 'n:pending', 'endedAt', 'n:outcome_unknown')
local status = stored[1]
if not status then return 'gone' end
local unended = tonumber(stored[3] or 0) + tonumber(stored[5] or 0)
local hasEnded = status == 'completed' or status == 'canceled' and unended == 0
local isLost = status == 'canceled' and not hasEnded and redis.call('EXISTS', KEYS[2]) == 0
hasEnded = hasEnded or isLost
if ARGV[2] == '' and status == 'draft' then hasEnded = true end
if not hasEnded or (ARGV[2] ~= '' and tonumber(stored[4] or ARGV[2]) > tonumber(ARGV[2])) then return status end
redis.call('UNLINK', KEYS[1], KEYS[2])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('ZADD', KEYS[5], stored[2] or 0, ARGV[1])
if isLost then
  redis.call('HSET', KEYS[1], 'status', status)
  redis.call('PEXPIRE', KEYS[1], ${calledOffMs})
end
return 'removed'`);

/**
 * Removes it when nothing of it is still to be sent, or can be. Otherwise answers its status.
 * @param endedBefore milliseconds since the epoch, for one that ended by then; null for one that ended whenever, or is a draft
 */
export async function removeCampaign(redis: Redis, id: string, endedBefore: number | null): Promise<Removed> {
  const own = [keys.campaign(id), keys.campaignMarks(id)];
  const names = [...own, keys.campaigns, keys.campaignsDue, keys.campaignsRemoved];
  return (await removeScript(redis, names, [id, endedBefore ?? ''])) as Removed;
}

/** The keys of the addresses of a campaign. */
export function addressSets(id: string): string[] {
  return each(addressBuckets, (bucket) => keys.campaignAddresses(id, bucket));
}

/** The keys that may be left of a removed campaign. */
export function leftovers(id: string, chunks: number): string[] {
  return [
    ...[keys.campaignSlices(id), keys.campaignTakers(id), keys.campaignAside(id)],
    ...[keys.campaignUploads(id), keys.campaignUploadTimes(id)],
    ...each(chunks, (chunk) => keys.campaignChunk(id, chunk)),
    ...each(chunks, (chunk) => keys.campaignOutcomes(id, chunk)),
    ...addressSets(id),
  ];
}

function each<T>(count: number, name: (n: number) => T): T[] {
  return Array.from({ length: count }, (_, n) => name(n));
}
