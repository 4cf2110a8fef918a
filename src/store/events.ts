/** Finds events in the outbox: by place, by id, and in the order they were committed. */
import type { Redis } from 'ioredis';
import { type Member, makeGroup } from '../concurrency/group.ts';
import type { OutboxEvent } from '../domain/event.ts';
import { placeIn, timeOfId } from '../domain/id.ts';
import { openCampaigns } from './campaigns.ts';
import { openEmails } from './emails.ts';
import { keys } from './keys.ts';
import { type OutboxEntry, type StreamRow, toEntry } from './outbox.ts';
import { script } from './redis.ts';

export type Events = ReturnType<typeof openEvents>;

const chunkSize = 1_000;
/**
 * How far from its own time an event is searched: it is committed at once, but the clock of its process differs a little from that of Redis.
 * The wide search is limited, because a campaign may have a million events in a minute.
 */
const nearMs = 2_000;
const farMs = 60_000;
const maxLookedAt = 50_000;

export function openEvents(redis: Redis) {
  const [emails, campaigns] = [openEmails(redis), openCampaigns(redis)];
  const readInGroup = makeGroup((members: readonly PlaceMember[]) => readPlaces(redis, members));

  async function* walk(from: string, to: string): AsyncGenerator<OutboxEntry> {
    for (let start = from; ; ) {
      const rows = await redis.xrange(keys.outbox, start, to, 'COUNT', chunkSize);
      yield* rows.map(toEntry);
      const last = rows.at(-1)?.[0];
      if (last === undefined || rows.length < chunkSize) return;
      start = `(${last}`;
    }
  }

  /**
   * When an event happened, as its email remembers it, or its place in a campaign, which it may have left since; else as the id says. Null
   * when it is no id of an event.
   */
  async function timeOf(eventId: string): Promise<number | null> {
    const [, id = '', sequence] = /^ev_([0-7][0-9a-hjkmnp-tv-z]{25})(?:_(\d{1,9}))?$/.exec(eventId) ?? [];
    if (id === '') return null;
    if (sequence === undefined) return timeOfId(`ev_${id}`);
    const { steps } = await emails.timeline(`em_${id}`);
    const step = steps.find(({ events = [] }) => events.some(({ seq }) => seq === Number(sequence)));
    if (step !== undefined) return step.at;
    const { campaignId, place } = placeIn(`em_${id}`);
    return (await campaigns.at(campaignId, place))?.outcome?.at ?? timeOfId(`em_${id}`);
  }

  return {
    /** The event at a place; null once it has been trimmed, or when it cannot be read. */
    at: (place: string): Promise<OutboxEvent | null> => readInGroup({ place, claim: null, bytes: place.length }),

    /** The place of an event; null when it does not exist, or no longer. */
    async find(eventId: string): Promise<string | null> {
      const at = await timeOf(eventId);
      if (at === null) return null;
      for (const within of [nearMs, farMs]) {
        let count = 0;
        for await (const { place, event } of walk(placeAt(at - within), placeAt(at + within))) {
          if (event?.id === eventId) return place;
          count += 1;
          if (count === maxLookedAt) break;
        }
      }
      return null;
    },

    /** Events of a time, oldest first, some at a time. Milliseconds since the epoch, both inclusive. */
    between: (since: number, until: number): AsyncGenerator<OutboxEntry> => walk(placeAt(since), placeAt(until)),
  };
}

type PlaceMember = Member & { readonly place: string };

/** KEYS outbox; ARGV places. Answers the row at each, or false; what is no place has no row, and keeps none of the others back. */
const placesScript = script(
  `
local rows = {}
for i, place in ipairs(ARGV) do
  local isPlace = string.find(place, '^%d+%-%d+$')
  rows[i] = isPlace and redis.call('XRANGE', KEYS[1], place, place)[1] or false
end
return rows`,
  'at_once',
);

async function readPlaces(redis: Redis, members: readonly PlaceMember[]): Promise<(OutboxEvent | null)[]> {
  const places = members.map(({ place }) => place);
  const rows = (await placesScript(redis, [keys.outbox], places)) as (StreamRow | null)[];
  return rows.map((row) => row && toEntry(row).event);
}

/** A stream knows no time before 1970. */
function placeAt(ms: number): string {
  return String(Math.max(0, Math.floor(ms)));
}
