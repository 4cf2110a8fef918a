/** The dev inbox: captured mail, newest first, limited in number and bytes. The list is stored apart from the messages. */
import type { Redis } from 'ioredis';
import { keys } from './keys.ts';
import { named } from './named.ts';
import { script } from './redis.ts';

export type CapturedEntry = {
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly emailId: string;
  readonly envelope: { readonly from: string; readonly to: readonly string[] };
};

export type CapturedMail = CapturedEntry & {
  /** The message as it would have gone over the wire. */
  readonly raw: Buffer;
};

export type InboxWatch = AsyncDisposable & {
  /** Resolves once it is subscribed; rejects when it is disposed of before. */
  readonly ready: Promise<void>;
};

export type Inbox = ReturnType<typeof openInbox>;

/** Beyond either limit the oldest mail is dropped. The newest stays, whatever its size. */
const defaultBounds = {
  /** An inbox for development needs no more. */
  count: 200,
  /** Redis holds them in the memory of a developer's machine. */
  bytes: 128 * 1024 * 1024,
};

const addKeys = named('inbox', 'entries', 'messages', 'bytesKey', 'channel');
const addArguments = named('id', 'entry', 'raw', 'maxCount', 'maxBytes');

const addScript = script(`
${addKeys.read('KEYS')}
${addArguments.read('ARGV')}
redis.call('LPUSH', inbox, id)
redis.call('HSET', entries, id, entry)
redis.call('HSET', messages, id, raw)
local bytes = redis.call('INCRBY', bytesKey, #raw)
local count = redis.call('LLEN', inbox)
while count > 1 and (count > tonumber(maxCount) or bytes > tonumber(maxBytes)) do
  local oldest = redis.call('RPOP', inbox)
  bytes = redis.call('DECRBY', bytesKey, redis.call('HSTRLEN', messages, oldest))
  redis.call('HDEL', entries, oldest)
  redis.call('HDEL', messages, oldest)
  count = count - 1
end
redis.call('PUBLISH', channel, id)`);

/** KEYS channel, then the stored keys. A script, because a full Redis would refuse a transaction. */
const clearScript = script(`
redis.call('DEL', unpack(KEYS, 2))
redis.call('PUBLISH', KEYS[1], '')`);

const stored = { inbox: keys.inbox, entries: keys.inboxEntries, messages: keys.inboxRaw, bytesKey: keys.inboxBytes };

export function openInbox(redis: Redis, bounds = defaultBounds) {
  return {
    async add({ raw, ...entry }: CapturedMail): Promise<void> {
      const names = addKeys.inOrder({ ...stored, channel: keys.inboxChannel });
      const { count: maxCount, bytes: maxBytes } = bounds;
      const args = addArguments.inOrder({ id: entry.id, entry: JSON.stringify(entry), raw, maxCount, maxBytes });
      await addScript(redis, names, args);
    },

    /** Newest first, without the messages. */
    async list(): Promise<CapturedEntry[]> {
      const ids = await redis.lrange(keys.inbox, 0, bounds.count - 1);
      if (ids.length === 0) return [];
      const entries = await redis.hmget(keys.inboxEntries, ...ids);
      // A mail may be dropped between the two reads.
      return entries.flatMap((json) => (json === null ? [] : [JSON.parse(json)]));
    },

    /** @returns null when there is no such mail, or it was dropped */
    async get(id: string): Promise<CapturedMail | null> {
      const [json, raw] = await Promise.all([
        redis.hget(keys.inboxEntries, id),
        redis.hgetBuffer(keys.inboxRaw, id) as Promise<Buffer | null>,
      ]);
      return json === null || raw === null ? null : { ...JSON.parse(json), raw };
    },

    async clear(): Promise<void> {
      await clearScript(redis, [keys.inboxChannel, ...Object.values(stored)], []);
    },

    /**
     * Calls `onChange` with the id of each mail as it is captured, by any process, until disposed; with null when
     * anything may have changed: the inbox was emptied, or Redis was away and mail may have been missed.
     */
    watch(onChange: (id: string | null) => void): InboxWatch {
      // A connection of its own: a subscribed connection can do nothing else. It waits while Redis is away.
      const subscriber = redis.duplicate({ enableOfflineQueue: true, maxRetriesPerRequest: null });
      subscriber.on('error', () => {});
      subscriber.on('message', (_channel, id) => onChange(id === '' ? null : id));
      const ready = subscriber.subscribe(keys.inboxChannel).then(() => {
        subscriber.on('ready', () => onChange(null));
      });
      // A caller that disposes early may not wait for `ready`: an unhandled rejection would end the process.
      ready.catch(() => {});
      return {
        ready,
        async [Symbol.asyncDispose]() {
          subscriber.disconnect();
        },
      };
    },
  };
}
