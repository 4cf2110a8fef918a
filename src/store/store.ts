/** The whole store, over one connection. */
import type { Redis } from 'ioredis';
import type { RedisMemory } from '../domain/back-pressure.ts';
import { openAllotments } from './allotments.ts';
import { openApiKeys } from './api-keys.ts';
import { openBudgets } from './budgets.ts';
import { openCampaignLeave } from './campaign-leave.ts';
import { openRecipients } from './campaign-recipients.ts';
import { openCampaignRetention } from './campaign-retention.ts';
import { openCampaignSlices } from './campaign-slices.ts';
import { openCampaigns } from './campaigns.ts';
import { openCreations } from './creations.ts';
import { openDeliveries } from './deliveries.ts';
import { openDue } from './due.ts';
import { openEmails } from './emails.ts';
import { openEventFeed } from './event-feed.ts';
import { openEventRetention } from './event-retention.ts';
import { openEvents } from './events.ts';
import { openInbox } from './inbox.ts';
import { openLevels } from './levels.ts';
import { openPosts } from './posts.ts';
import { openRateLimits } from './rate-limits.ts';
import { openRetention } from './retention.ts';
import { openSuppressions } from './suppressions.ts';
import { openTemplates } from './templates.ts';
import { openTransportStates } from './transport-states.ts';
import { openWebhooks } from './webhooks.ts';

/**
 * @param secretKey 32 bytes that seal secrets at rest
 * @param newIv 12 fresh random bytes at each call
 * @throws when stored secrets were sealed with another key
 */
export async function openStore(redis: Redis, secretKey: Uint8Array, newIv: () => Uint8Array) {
  const webhooks = openWebhooks(redis, secretKey, newIv);
  await webhooks.checkKey();
  return {
    emails: openEmails(redis),
    due: openDue(redis),
    levels: openLevels(redis),
    eventFeed: openEventFeed(redis),
    webhooks,
    deliveries: openDeliveries(redis),
    posts: openPosts(redis),
    events: openEvents(redis),
    inbox: openInbox(redis),
    retention: openRetention(redis),
    apiKeys: openApiKeys(redis),
    campaigns: openCampaigns(redis),
    recipients: openRecipients(redis),
    campaignRetention: openCampaignRetention(redis),
    creations: openCreations(redis, secretKey),
    templates: openTemplates(redis),
    slices: openCampaignSlices(redis),
    ...openCampaignLeave(redis),
    eventRetention: openEventRetention(redis),
    rateLimits: openRateLimits(redis),
    suppressions: openSuppressions(redis),
    transportStates: openTransportStates(redis),
    budgets: openBudgets(redis),
    allotments: openAllotments(redis),
    /** Whether Redis answers now. */
    ping: async (): Promise<boolean> => (await redis.ping().catch(() => '')) === 'PONG',
    memory: async (): Promise<RedisMemory> => readMemory(await redis.info('memory')),
  };
}

function readMemory(info: string): RedisMemory {
  const field = (name: string) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1] ?? 0);
  return { used: field('used_memory'), max: field('maxmemory') };
}
