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
  /** Somebody is pending, and where each recipient stands is gone: evicted, or deleted by hand. */
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
      const fields = ['status', 'closed', 'endedAt', 'n:pending'] as const;
      const found = await Promise.all(ids.map((id) => redis.hmget(keys.campaign(id), ...fields)));
      const hasMarks = await Promise.all(
        ids.map((id, n) => (Number(found[n]?.[3]) > 0 ? redis.exists(keys.campaignMarks(id)) : 1)),
      );
      const page = ids.flatMap((id, n) => {
        const [status, closed, endedAt] = found[n] ?? [];
        if (!status) return [];
        const endedAtMs = endedAt ? Number(endedAt) : null;
        const isLost = hasMarks[n] === 0;
        return [{ id, status: status as CampaignStatus, endedAt: endedAtMs, hasAddresses: !closed, isLost }];
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
