/** The facts of emails at their place in a campaign, which have no record of their own: the facts of the campaign. */
import type { Redis } from 'ioredis';
import { placeFacts } from '../domain/campaign-email.ts';
import type { EmailFacts } from '../domain/email.ts';
import { placeIn } from '../domain/id.ts';
import { keys } from './keys.ts';

/** By email id, and only for emails whose campaign exists. The subject is the unrendered one of the campaign. */
export async function factsAtPlaces(redis: Redis, ids: readonly string[]): Promise<ReadonlyMap<string, EmailFacts>> {
  const places = ids.map((id) => ({ id, ...placeIn(id) }));
  const campaignIds = [...new Set(places.map(({ campaignId }) => campaignId))];
  const found = await Promise.all(campaignIds.map((id) => redis.hmget(keys.campaign(id), 'head', 'startedAt')));
  const campaigns = new Map(campaignIds.map((id, n) => [id, found[n] ?? []]));
  const facts = new Map<string, EmailFacts>();
  for (const { id, campaignId, place } of places) {
    const [head, startedAt] = campaigns.get(campaignId) ?? [];
    // A campaign that was canceled before its scheduled time has no start.
    const since = startedAt ? Number(startedAt) : null;
    if (head) facts.set(id, placeFacts({ head: JSON.parse(head), startedAt: since }, place));
  }
  return facts;
}
