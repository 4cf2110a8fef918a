/** Removes a campaign: one step removes the campaign itself and notes its remaining keys, which are removed a few at a time. */
import type { Redis } from 'ioredis';
import type { CampaignStatus } from '../domain/campaign.ts';
import { addressBuckets } from './campaign-addresses.ts';
import { keys } from './keys.ts';
import { named } from './named.ts';
import { script } from './redis.ts';

/** Longer than an email that left a campaign waits for its next look. */
const calledOffMs = 30 * 86_400_000;

type Removed = 'removed' | 'gone' | CampaignStatus;

const removeKeys = named('campaign', 'marks', 'campaigns', 'due', 'removed');

const removeArguments = named(
  'id',
  'endedBefore', // when it must have ended at the latest; '' for whenever, or a draft
);

/**
 * Once its marks are gone, no recipient leaves a place or is settled there. A canceled campaign that lost its marks is removed even if recipients are
 * pending or held: nobody can end them. Those that left their place and wait are canceled at their turn, so the campaign stays known as canceled
 * for as long as that may take. The first write is one that a full Redis takes.
 */
const removeScript = script(`
${removeKeys.read('KEYS')}
${removeArguments.read('ARGV')}
local stored = redis.call('HMGET', campaign, 'status', 'chunks', 'n:pending', 'endedAt', 'n:outcome_unknown')
local status = stored[1]
if not status then return 'gone' end
local unended = tonumber(stored[3] or 0) + tonumber(stored[5] or 0)
local hasEnded = status == 'completed' or status == 'canceled' and unended == 0
local isLost = status == 'canceled' and not hasEnded and redis.call('EXISTS', marks) == 0
hasEnded = hasEnded or isLost
if endedBefore == '' and status == 'draft' then hasEnded = true end
if not hasEnded or (endedBefore ~= '' and tonumber(stored[4] or endedBefore) > tonumber(endedBefore)) then return status end
redis.call('UNLINK', campaign, marks)
redis.call('ZREM', campaigns, id)
redis.call('ZREM', due, id)
redis.call('ZADD', removed, stored[2] or 0, id)
if isLost then
  redis.call('HSET', campaign, 'status', status)
  redis.call('PEXPIRE', campaign, ${calledOffMs})
end
return 'removed'`);

/**
 * Removes it when nothing of it is still to be sent, or can be. Otherwise answers its status.
 * @param endedBefore milliseconds since the epoch, for one that ended by then; null for one that ended whenever, or is a draft
 */
export async function removeCampaign(redis: Redis, id: string, endedBefore: number | null): Promise<Removed> {
  const { campaigns, campaignsDue: due, campaignsRemoved: removed } = keys;
  const own = { campaign: keys.campaign(id), marks: keys.campaignMarks(id) };
  const names = removeKeys.inOrder({ ...own, campaigns, due, removed });
  return (await removeScript(redis, names, removeArguments.inOrder({ id, endedBefore: endedBefore ?? '' }))) as Removed;
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
