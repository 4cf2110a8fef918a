/** How many recipients of campaigns wait and since when, for the metrics: four quick commands for each due campaign. */
import type { Redis } from 'ioredis';
import { type CampaignHead, sliceSize, stillSince } from '../domain/campaign.ts';
import { keys } from './keys.ts';
import type { Backlog } from './levels.ts';

/** Most campaigns looked at, in the order of their turns: as many as workers look at in one step. */
const mostLooked = 1_000;

const fieldNames = ['status', 'head', 'cursor', 'n:pending', 'movedAt', 'startedAt', 'scheduledAt'] as const;

/** Campaigns that are sent, or should be by now: recipients that are still at their places, and since when a campaign has not moved. */
export async function readCampaigns(redis: Redis, now: number): Promise<Backlog> {
  const ids = await redis.zrange(keys.campaignsDue, '0', String(mostLooked - 1));
  const each = await Promise.all(ids.map((id) => readCampaign(redis, id, now)));
  const since = each.flatMap(({ oldestAt }) => (oldestAt === null ? [] : [oldestAt]));
  const waiting = each.reduce((sum, one) => sum + one.waiting, 0);
  return { waiting, oldestAt: since.length === 0 ? null : Math.min(...since) };
}

async function readCampaign(redis: Redis, id: string, now: number): Promise<Backlog> {
  const [stored, places, taken, aside] = await Promise.all([
    redis.hmget(keys.campaign(id), ...fieldNames),
    redis.strlen(keys.campaignMarks(id)),
    redis.zcard(keys.campaignSlices(id)),
    redis.zcard(keys.campaignAside(id)),
  ]);
  const [status, head, cursor, pending, movedAt, startedAt, scheduledAt] = stored;
  const isLate = status === 'scheduled' && Number(scheduledAt) <= now;
  if (!head || (status !== 'running' && !isLate)) return { waiting: 0, oldestAt: null };
  // Before the cursor, recipients wait at places only in slices that were taken and are not done, or that are set aside.
  const atPlaces = Math.max(0, places - Number(cursor)) + (taken + aside) * sliceSize;
  // Pending recipients that left their places count among the emails.
  const waiting = Math.min(Number(pending), atPlaces);
  if (waiting === 0) return { waiting, oldestAt: null };
  const { rate } = JSON.parse(head) as CampaignHead;
  const since = stillSince(Number(movedAt ?? startedAt ?? scheduledAt), rate);
  return { waiting, oldestAt: since <= now ? since : null };
}
