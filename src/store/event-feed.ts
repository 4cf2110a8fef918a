/** The event feed: reads the stream of the outbox from any place, and watches for new events. */
import type { Redis } from 'ioredis';
import { compareCursors } from '../domain/event-feed.ts';
import { keys } from './keys.ts';
import { type OutboxEntry, rowsOf, toEntry } from './outbox.ts';
import { script } from './redis.ts';

export type EventFeed = ReturnType<typeof openEventFeed>;

type Stretch = {
  readonly entries: readonly OutboxEntry[];
  /** Whether more entries follow. */
  readonly hasMore: boolean;
  /** The place up to which entries after the given place are gone; null when none is. */
  readonly goneUpTo: string | null;
};

type FeedWatch = AsyncDisposable & {
  /** The next entries after a place, as soon as there are any; empty when none came for a while. Waits while Redis is away. */
  next(after: string, count: number): Promise<OutboxEntry[]>;
};

type Row = Parameters<typeof toEntry>[0];

/** A watch asks again this often, so that a connection that died in silence is noticed. */
const blockMs = 5_000;
const silenceMs = 2 * blockMs;

/** KEYS outbox trimmed; ARGV from count. Answers the rows and the last place that was trimmed, as of one moment. */
const readScript = script(`
local rows = redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])
return {rows, redis.call('GET', KEYS[2]) or ''}`);

/** KEYS outbox. Answers the place of the newest entry, also when that is gone. */
const newestScript = script(`
if redis.call('EXISTS', KEYS[1]) == 0 then return '0-0' end
local info = redis.call('XINFO', 'STREAM', KEYS[1])
for i = 1, #info, 2 do
  if info[i] == 'last-generated-id' then return info[i + 1] end
end`);

export function openEventFeed(redis: Redis) {
  return {
    /** The next `count` entries after a place, oldest first; from the oldest on when it is null. */
    async read(after: string | null, count: number): Promise<Stretch> {
      const from = after === null ? '-' : `(${after}`;
      const answer = await readScript(redis, [keys.outbox, keys.outboxTrimmed], [from, count + 1]);
      const [rows, trimmed] = answer as [Row[], string];
      const isGone = after !== null && trimmed !== '' && compareCursors(after, trimmed) < 0;
      return {
        entries: rows.slice(0, count).map(toReadEntry),
        hasMore: rows.length > count,
        goneUpTo: isGone ? trimmed : null,
      };
    },

    /** The last place: all later events come after it. */
    newest: async (): Promise<string> => String(await newestScript(redis, [keys.outbox], [])),

    /** Opens a connection of its own: a waiting read blocks it. */
    watch(): FeedWatch {
      const waiting = { enableOfflineQueue: true, maxRetriesPerRequest: null, enableAutoPipelining: false };
      const blocking = redis.duplicate({ ...waiting, commandTimeout: undefined, socketTimeout: silenceMs });
      blocking.on('error', () => {});
      return {
        async next(after, count) {
          const read = await blocking.xread('COUNT', count, 'BLOCK', blockMs, 'STREAMS', keys.outbox, after);
          return rowsOf(read).map(toReadEntry);
        },
        async [Symbol.asyncDispose]() {
          blocking.disconnect();
        },
      };
    },
  };
}

/** Here every event is looked at, and more than once. */
function toReadEntry(row: Row): OutboxEntry {
  const { place, event } = toEntry(row);
  return { place, event };
}
