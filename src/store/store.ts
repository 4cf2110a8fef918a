/** Everything that is remembered, over one connection. */
import type { Redis } from 'ioredis';
import { openDeliveries } from './deliveries.ts';
import { openEmails } from './emails.ts';
import { openInbox } from './inbox.ts';
import { openWebhooks } from './webhooks.ts';

/**
 * @param secretKey 32 bytes that seal secrets at rest
 * @param newIv 12 fresh random bytes at each call
 * @throws when what is stored was sealed with another key
 */
export async function openStore(redis: Redis, secretKey: Uint8Array, newIv: () => Uint8Array) {
  const webhooks = openWebhooks(redis, secretKey, newIv);
  await webhooks.checkKey();
  const emails = openEmails(redis);
  return {
    emails,
    webhooks,
    deliveries: openDeliveries(redis),
    inbox: openInbox(redis),
    /** Whether Redis answers now. */
    ping: async (): Promise<boolean> => (await redis.ping().catch(() => '')) === 'PONG',
    [Symbol.asyncDispose]: () => emails[Symbol.asyncDispose](),
  };
}
