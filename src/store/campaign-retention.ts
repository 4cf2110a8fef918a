/** What campaigns need no more is removed a piece at a time: a large one has thousands of keys, and Redis must not be held up by them. */
import type { Redis } from 'ioredis';
import type { CampaignStatus } from '../domain/campaign.ts';
import { addressSets, leftovers, removeCampaign } from './campaign-remove.ts';
import { keys } from './keys.ts';
import { script } from './redis.ts';

export type CampaignRetention = ReturnType<typeof openCampaignRetention>;

/** As far as it matters for what of it is kept. */
export type CampaignKeep = {
  readonly id: string;
  readonly status: CampaignStatus;
  /** Milliseconds since the epoch; null as long as it has not. */
  readonly endedAt: number | null;
  /** The sets of its addresses are there, or may be. */
  readonly hasAddresses: boolean;
  /** Somebody is pending, and where each recipient stands is gone: evicted, or deleted by hand. */
  readonly isLost: boolean;
};

/** One that was removed, and how many chunks it had. */
export type RemovedCampaign = { readonly id: string; readonly chunks: number };

/** Campaigns that are looked at in one step. */
const pageSize = 100;
/** Keys that are removed in one step: a tenth of a millisecond of Redis. */
const keysPerStep = 256;

/** KEYS campaign. One that was removed meanwhile is not brought back. The first write is one that a full Redis takes: it changes nothing. */
const closeScript = script(`
if redis.call('HEXISTS', KEYS[1], 'status') == 0 then return end
redis.call('HDEL', KEYS[1], 'closed')
redis.call('HSET', KEYS[1], 'closed', 1)`);

/** Several workers may do this at once: what one has removed costs another a look. */
export function openCampaignRetention(redis: Redis) {
  /** False when it was stopped before all of them were gone. */
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

    /** Drops the addresses of a campaign that nobody can be added to any more. What a stop cuts short is done anew. */
    async dropAddresses(id: string, stop: AbortSignal): Promise<void> {
      if (await unlinkAll(addressSets(id), stop)) await closeScript(redis, [keys.campaign(id)], []);
    },

    /** Removes a campaign that ended at `endedBefore` or earlier. False when that is not so, or not so any more. */
    remove: async (id: string, endedBefore: number): Promise<boolean> =>
      (await removeCampaign(redis, id, endedBefore)) === 'removed',

    /** Some of those that were removed while something of them is left. */
    async removed(): Promise<readonly RemovedCampaign[]> {
      const found = await redis.zrange(keys.campaignsRemoved, '0', String(pageSize - 1), 'WITHSCORES');
      return found.flatMap((id, n) => (n % 2 === 0 ? [{ id, chunks: Number(found[n + 1]) }] : []));
    },

    /** Removes what is left of one. What a stop cuts short is done anew. */
    async clear({ id, chunks }: RemovedCampaign, stop: AbortSignal): Promise<void> {
      if (await unlinkAll(leftovers(id, chunks), stop)) await redis.zrem(keys.campaignsRemoved, id);
    },
  };
}
