/** Webhook endpoints, their secrets sealed. */
import type { Redis } from 'ioredis';
import { seal, unseal } from '../domain/secret-box.ts';
import type { Webhook } from '../domain/webhook.ts';
import { keys } from './keys.ts';

export type Webhooks = ReturnType<typeof openWebhooks>;

/** @param secretKey 32 bytes; @param newIv 12 fresh random bytes at each call */
export function openWebhooks(redis: Redis, secretKey: Uint8Array, newIv: () => Uint8Array) {
  function unpack(json: string): Webhook {
    const stored: Webhook = JSON.parse(json);
    return { ...stored, secret: unseal(stored.secret, secretKey) };
  }

  return {
    async add(webhook: Webhook): Promise<void> {
      const stored = { ...webhook, secret: seal(webhook.secret, secretKey, newIv()) };
      await redis.hset(keys.webhooks, webhook.id, JSON.stringify(stored));
    },

    /** @throws when the stored secrets were sealed with another key: no webhook could be signed */
    async checkKey(): Promise<void> {
      const [json] = await redis.hvals(keys.webhooks);
      if (json === undefined) return;
      try {
        unpack(json);
      } catch (error) {
        throw new Error(
          'SECRET_KEY is not the one that the webhooks in this Redis were sealed with. Give that one, or another Redis.',
          { cause: error },
        );
      }
    },

    async get(id: string): Promise<Webhook | null> {
      const json = await redis.hget(keys.webhooks, id);
      return json === null ? null : unpack(json);
    },

    /** Every endpoint, newest first, without secrets: what matching and listing need. */
    async list(): Promise<Omit<Webhook, 'secret'>[]> {
      const all = await redis.hvals(keys.webhooks);
      const webhooks = all.map((json): Omit<Webhook, 'secret'> => {
        const { secret: _, ...webhook }: Webhook = JSON.parse(json);
        return webhook;
      });
      return webhooks.sort((a, b) => (a.id < b.id ? 1 : -1));
    },

    /** False when there was none. */
    remove: async (id: string): Promise<boolean> => (await redis.hdel(keys.webhooks, id)) === 1,
  };
}
