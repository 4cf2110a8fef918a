/** The facts of emails that have no record of their own, since they still stand at their place in a campaign: those of the campaign. */
import type { Redis } from 'ioredis';
import { asStarted, placeFacts, type StartedCampaign } from '../domain/campaign-email.ts';
import type { EmailFacts } from '../domain/email.ts';
import { placeIn } from '../domain/id.ts';
import { keys } from './keys.ts';

/** By email id, and only of those whose campaign is there. The subject is the one that the campaign was written with. */
export async function factsAtPlaces(redis: Redis, ids: readonly string[]): Promise<ReadonlyMap<string, EmailFacts>> {
  const places = ids.map((id) => ({ id, ...placeIn(id) }));
  const campaignIds = [...new Set(places.map(({ campaignId }) => campaignId))];
  const found = await Promise.all(campaignIds.map((id) => readStarted(redis, id)));
  const campaigns = new Map(campaignIds.map((id, n) => [id, found[n] ?? null]));
  const facts = new Map<string, EmailFacts>();
  for (const { id, campaignId, place } of places) {
    const campaign = campaigns.get(campaignId) ?? null;
    if (campaign !== null) facts.set(id, placeFacts(campaign, place));
  }
  return facts;
}

async function readStarted(redis: Redis, id: string): Promise<StartedCampaign | null> {
  const [head, ...times] = await redis.hmget(keys.campaign(id), 'head', 'startedAt', 'scheduledAt');
  const [startedAt = null, scheduledAt = null] = times.map((time) => (time === null ? null : Number(time)));
  return head ? asStarted(JSON.parse(head), { startedAt, scheduledAt }) : null;
}
