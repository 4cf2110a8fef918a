/** Removes a campaign: one step removes the campaign itself and notes its remaining keys, which are removed a few at a time. */
import type { Redis } from 'ioredis';
import type { CampaignStatus } from '../domain/campaign.ts';
import { addressBuckets } from './campaign-addresses.ts';
import { keys } from './keys.ts';
import { script } from './redis.ts';

export type Removed = 'removed' | 'gone' | CampaignStatus;

/**
 * KEYS campaign marks campaigns campaignsDue campaignsRemoved; ARGV id, latest time of its end ('' for any, also for a draft). Without marks
 * no recipient can leave its place or be settled there. The first write is one that a full Redis accepts.
 */
const removeScript = script(`
local stored = redis.call('HMGET', KEYS[1], 'status', 'chunks', 'n:pending', 'endedAt')
local status = stored[1]
if not status then return 'gone' end
local hasEnded = status == 'completed' or status == 'canceled' and tonumber(stored[3] or 0) == 0
if ARGV[2] == '' and status == 'draft' then hasEnded = true end
if not hasEnded or (ARGV[2] ~= '' and tonumber(stored[4] or ARGV[2]) > tonumber(ARGV[2])) then return status end
redis.call('UNLINK', KEYS[1], KEYS[2])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('ZADD', KEYS[5], stored[2] or 0, ARGV[1])
return 'removed'`);

/**
 * Removes a campaign that has nothing left to send; otherwise answers its status.
 * @param endedBefore milliseconds since the epoch: only a campaign that ended by then; null for any that ended, or a draft
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
    ...[keys.campaignSlices(id), keys.campaignTakers(id)],
    ...[keys.campaignUploads(id), keys.campaignUploadTimes(id)],
    ...each(chunks, (chunk) => keys.campaignChunk(id, chunk)),
    ...each(chunks, (chunk) => keys.campaignOutcomes(id, chunk)),
    ...addressSets(id),
  ];
}

function each<T>(count: number, name: (n: number) => T): T[] {
  return Array.from({ length: count }, (_, n) => name(n));
}
