/** The bell of campaigns: rung by what gives one a turn at once, so that workers which have nothing to do hear of it, every one of them. */
import type { Redis } from 'ioredis';
import { keys } from './keys.ts';

/**
 * Calls `onRing` at each ring; those while Redis is away are missed. Resolves once none is missed any more.
 * @param subscriber a connection of its own, as one that is subscribed can do nothing else
 */
export async function hearCampaigns(subscriber: Redis, onRing: () => void): Promise<void> {
  subscriber.on('message', () => onRing());
  await subscriber.subscribe(keys.campaignsBell);
}
