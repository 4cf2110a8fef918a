/** Removes data that campaigns no longer need, a few keys at a time: a large campaign has thousands, and Redis must not be blocked. */
import type { Redis } from 'ioredis';
import type { CampaignStatus } from '../domain/campaign.ts';
import { addressSets, leftovers, removeCampaign } from './campaign-remove.ts';
import { keys } from './keys.ts';
import { script } from './redis.ts';

export type CampaignRetention = ReturnType<typeof openCampaignRetention>;

/** The part of a campaign that decides what is kept of it. */
export type CampaignKeep = {
  readonly id: string;
  readonly status: CampaignStatus;
  /** Milliseconds since the epoch; null until it has ended. */
  readonly endedAt: number | null;
  /** Whether the sets of its addresses may still exist. */
  readonly hasAddresses: boolean;
  /** Recipients are pending, and the marks of all recipients are gone: evicted, or deleted by hand. */
  readonly isLost: boolean;
};

/** A removed campaign, and how many chunks it had. */
type RemovedCampaign = { readonly id: string; readonly chunks: number };

/** Campaigns that are looked at in one step. */
const pageSize = 100;
/** Keys that are removed in one step: a tenth of a millisecond of Redis. */
const keysPerStep = 256;

/** KEYS campaign. One that was removed meanwhile is not brought back. The first write is one that a full Redis takes: it changes nothing. */
const closeScript = script(`
if redis.call('HEXISTS', KEYS[1], 'status') == 0 then return end
redis.call('HDEL', KEYS[1], 'closed')
redis.call('HSET', KEYS[1], 'closed', 1)`);

/**
 * What decides what is kept of campaigns, read in one step: what was deleted between two reads would look lost. KEYS campaign and marks of
 * each. Answers for each whether it has lost its marks, then its status, whether it is closed, and when it ended.
 */
const keepScript = script(`
local answer = {}
for i = 1, #KEYS, 2 do
  local stored = redis.call('HMGET', KEYS[i], 'status', 'closed', 'endedAt', 'n:pending')
  local isLost = tonumber(stored[4] or 0) > 0 and redis.call('EXISTS', KEYS[i + 1]) == 0
  answer[#answer + 1] = {isLost and 1 or 0, stored[1], stored[2], stored[3]}
end
return answer`);
type Kept = [isLost: number, status: CampaignStatus | null, closed: string | null, endedAt: string | null];

/** Several workers may do this at the same time: keys that are already removed only cost a look. */
export function openCampaignRetention(redis: Redis) {
  /** False when it was stopped before all keys were removed. */
  async function unlinkAll(names: readonly string[], stop: AbortSignal): Promise<boolean> {
    for (let at = 0; at < names.length && !stop.aborted; at += keysPerStep)
      await redis.unlink(...names.slice(at, at + keysPerStep));
    return !stop.aborted;
  }

  return {
    /** Some campaigns, oldest first. @param after the last one that was looked at; null to begin with the first */
    async page(after: string | null): Promise<{ readonly page: readonly CampaignKeep[]; readonly hasMore: boolean }> {
      const edge = after === null ? '-' : `(${after}`;
      const ids = await redis.zrangebylex(keys.campaigns, edge, '+', 'LIMIT', 0, pageSize);
      const names = ids.flatMap((id) => [keys.campaign(id), keys.campaignMarks(id)]);
      const found = (await keepScript(redis, names, [])) as Kept[];
      const page = found.flatMap(([isLost, status, closed, endedAt], n) => {
        const id = ids[n];
        if (id === undefined || status === null) return [];
        const endedAtMs = endedAt === null ? null : Number(endedAt);
        return [{ id, status, endedAt: endedAtMs, hasAddresses: closed === null, isLost: isLost === 1 }];
      });
      return { page, hasMore: ids.length === pageSize };
    },

    /** Drops the addresses of a campaign that takes no more recipients. After a stop it begins again. */
    async dropAddresses(id: string, stop: AbortSignal): Promise<void> {
      if (await unlinkAll(addressSets(id), stop)) await closeScript(redis, [keys.campaign(id)], []);
    },

    /** Removes a campaign that ended at `endedBefore` or earlier. False when it did not, or no longer exists. */
    remove: async (id: string, endedBefore: number): Promise<boolean> =>
      (await removeCampaign(redis, id, endedBefore)) === 'removed',

    /** Some removed campaigns that still have keys. */
    async removed(): Promise<readonly RemovedCampaign[]> {
      const found = await redis.zrange(keys.campaignsRemoved, '0', String(pageSize - 1), 'WITHSCORES');
      return found.flatMap((id, n) => (n % 2 === 0 ? [{ id, chunks: Number(found[n + 1]) }] : []));
    },

    /** Removes the remaining keys of a campaign. After a stop it begins again. */
    async clear({ id, chunks }: RemovedCampaign, stop: AbortSignal): Promise<void> {
      if (await unlinkAll(leftovers(id, chunks), stop)) await redis.zrem(keys.campaignsRemoved, id);
    },
  };
}
