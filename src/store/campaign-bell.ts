/** The bell of campaigns: rung when a campaign gets a turn at once. It wakes all idle workers. */
import type { Redis } from 'ioredis';
import { keys } from './keys.ts';

/**
 * Calls `onRing` at each ring; rings while Redis is away are missed. Resolves once it is subscribed.
 * @param subscriber a connection of its own: a subscribed connection can do nothing else
 */
export async function hearCampaigns(subscriber: Redis, onRing: () => void): Promise<void> {
  subscriber.on('message', () => onRing());
  await subscriber.subscribe(keys.campaignsBell);
}
