/** The outbox: the stream of all events, read by a consumer group so that each event is handled at least once. */
import type { Redis } from 'ioredis';
import type { OutboxEvent } from '../domain/event.ts';
import { keys } from './keys.ts';
import { unpackEvent } from './record.ts';
import { script, waitOn } from './redis.ts';

/** A place in the stream and its event; null for an event that cannot be read or is gone: no entry keeps back its neighbours. */
export type OutboxEntry = { readonly place: string; readonly event: OutboxEvent | null };

export type Outbox = Awaited<ReturnType<typeof openOutbox>>;

/** The consumers of this group are the workers. */
export const outboxGroup = 'notify';
/** A read waits this long for the next event. A stop or a take-over is noticed at most this late. */
const blockMs = 1_000;

/** A consumer that was not seen for this long was probably killed. A live one may look the same: before Redis 7.2, empty reads do not count. */
const usualForgetAfterMs = 3_600_000;

export type StreamRow = [place: string, fields: string[]];
type StreamRows = StreamRow[];

/**
 * @param redis for commands that answer at once
 * @param blocking a connection of its own: a waiting read blocks it
 * @param takeOverAfterMs how long an entry stays with a consumer that does not acknowledge it
 * @param forgetAfterMs how long a consumer with nothing in hand is remembered
 */
export async function openOutbox(
  redis: Redis,
  blocking: Redis,
  consumer: string,
  takeOverAfterMs: number,
  forgetAfterMs = usualForgetAfterMs,
) {
  await createGroup(redis);
  await removeScript(redis, [keys.outbox], [outboxGroup, '', forgetAfterMs]);

  /** Their places alone: of one that is gone Redis 6.2 would answer nil, and nobody could acknowledge it. */
  async function claimLeft(count: number): Promise<string[]> {
    const claim = [takeOverAfterMs, '0-0', 'COUNT', count, 'JUSTID'] as const;
    const [, places] = await redis.xautoclaim(keys.outbox, outboxGroup, consumer, ...claim);
    return places as string[];
  }

  async function entryAt(place: string): Promise<OutboxEntry> {
    const [row] = await redis.xrange(keys.outbox, place, place);
    return row === undefined ? { place, event: null } : toEntry(row);
  }

  return {
    /**
     * The next entries: first those that a dead consumer left behind, then new ones. Waits up to a second for new entries; `stop` ends the
     * wait, and this consumer reads no more.
     */
    async next(count: number, stop: AbortSignal): Promise<OutboxEntry[]> {
      const claimed = await claimLeft(count).catch(async (error: unknown) => {
        // A Redis that lost its data has lost the group as well.
        if (!(error instanceof Error) || !error.message.startsWith('NOGROUP')) throw error;
        await createGroup(redis);
        return claimLeft(count);
      });
      if (claimed.length > 0) return Promise.all(claimed.map(entryAt));
      const from = ['STREAMS', keys.outbox, '>'] as const;
      const read = await waitOn(blocking, stop, () =>
        blocking.xreadgroup('GROUP', outboxGroup, consumer, 'COUNT', count, 'BLOCK', blockMs, ...from),
      );
      return rowsOf(read).map(toEntry);
    },

    async acknowledge(entries: readonly OutboxEntry[]): Promise<void> {
      if (entries.length > 0) await redis.xack(keys.outbox, outboxGroup, ...entries.map((entry) => entry.place));
    },

    async [Symbol.asyncDispose](): Promise<void> {
      blocking.disconnect();
      await removeScript(redis, [keys.outbox], [outboxGroup, consumer, 0]).catch(() => {}); // Redis is away: the next one to open does it
    },
  };
}

async function createGroup(redis: Redis): Promise<void> {
  try {
    await redis.xgroup('CREATE', keys.outbox, outboxGroup, '0', 'MKSTREAM');
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith('BUSYGROUP')) throw error;
  }
}

/**
 * Removes consumers without entries; a consumer with entries stays until they have been taken over. One step, because entries that a consumer
 * read just before its removal would be lost with it. The next read of a live consumer creates it again. KEYS outbox; ARGV group, name or '' for
 * all, least time since it was seen (ms).
 */
const removeScript = script(`
for _, fields in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for i = 1, #fields, 2 do consumer[fields[i]] = fields[i + 1] end
  local isMeant = ARGV[2] == '' or ARGV[2] == consumer.name
  if isMeant and consumer.pending == 0 and consumer.idle >= tonumber(ARGV[3]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
  end
end
return 1`);

/** RESP3 answers with a map of streams, RESP2 with a list of pairs; we read one stream. */
export function rowsOf(read: unknown): StreamRows {
  if (read === null || read === undefined) return [];
  if (Array.isArray(read)) return (read[0]?.[1] ?? []) as StreamRows;
  return (Object.values(read as Record<string, StreamRows>)[0] ?? []) as StreamRows;
}

export function toEntry([place, fields]: StreamRow): OutboxEntry {
  const json = fields[fields.indexOf('event') + 1] ?? '';
  return {
    place,
    /** Parsed only at first use: without webhooks no event is used. */
    get event() {
      return readEvent(json);
    },
  };
}

function readEvent(json: string): OutboxEvent | null {
  try {
    return unpackEvent(json);
  } catch {
    return null;
  }
}
