/** The dev inbox: captured mail, newest first, bounded in number. */
import type { Redis } from 'ioredis';
import { keys } from './keys.ts';

export type CapturedMail = {
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly emailId: string;
  readonly envelope: { readonly from: string; readonly to: readonly string[] };
  /** The message as it would have gone over the wire. */
  readonly raw: Buffer;
};

export type Inbox = ReturnType<typeof openInbox>;

/** Older mail is dropped; an inbox for development needs no more. */
export const maxCaptured = 200;

export function openInbox(redis: Redis) {
  return {
    async add(mail: CapturedMail): Promise<void> {
      const write = redis.multi();
      write.lpush(keys.inbox, JSON.stringify({ ...mail, raw: mail.raw.toString('base64') }));
      write.ltrim(keys.inbox, 0, maxCaptured - 1);
      write.publish(keys.inboxChannel, mail.id);
      await write.exec();
    },

    async list(): Promise<CapturedMail[]> {
      const all = await redis.lrange(keys.inbox, 0, maxCaptured - 1);
      return all.map((json) => {
        const mail: Omit<CapturedMail, 'raw'> & { raw: string } = JSON.parse(json);
        return { ...mail, raw: Buffer.from(mail.raw, 'base64') };
      });
    },

    clear: async (): Promise<void> => {
      await redis.del(keys.inbox);
    },

    /** Calls `onMail` with the id of each mail as it is captured, from any process, until disposed. */
    async watch(onMail: (id: string) => void): Promise<AsyncDisposable> {
      const subscriber = redis.duplicate({ enableOfflineQueue: true, maxRetriesPerRequest: null });
      subscriber.on('error', () => {});
      subscriber.on('message', (_channel, id) => onMail(id));
      await subscriber.subscribe(keys.inboxChannel);
      return {
        async [Symbol.asyncDispose]() {
          subscriber.disconnect();
        },
      };
    },
  };
}
