/** read-events: reads past events, oldest first, as far as the reader may see them. */
import { isUnrestricted } from '../domain/api-key.ts';
import { emailIdsIn, type FeedItem, factsFor, isVisibleTo, type Reader, wantsType } from '../domain/event-feed.ts';
import type { Emails } from '../store/emails.ts';
import type { EventFeed } from '../store/event-feed.ts';
import type { OutboxEntry } from '../store/outbox.ts';

export type FactsDeps = { emails: Pick<Emails, 'facts'> };

type Deps = FactsDeps & { eventFeed: Pick<EventFeed, 'read'> };

export type EventsPage =
  | {
      readonly kind: 'told';
      readonly items: readonly FeedItem[];
      /** Where to continue: after the last entry that was read. Null while there has never been an event. */
      readonly next: string | null;
      readonly hasMore: boolean;
    }
  /** Entries after the place asked for are gone; what is kept comes after `upTo`. */
  | { readonly kind: 'gone'; readonly upTo: string };

/** Most entries read in one round trip for a reader who sees only some. The first trip reads `limit` entries, each further one twice as many. */
const mostInStretch = 500;
/** Most entries read for one answer, which takes about 20 ms: what the reader asks for may be rare. */
const mostLookedAt = 5_000;

/** @param after the last place the reader has; null to begin with the oldest event that is kept */
export async function readEvents(
  deps: Deps,
  audience: Reader,
  after: string | null,
  limit: number,
): Promise<EventsPage> {
  const hearsAll = audience.types === null && isUnrestricted(audience.limits);
  const items: FeedItem[] = [];
  let next = after;
  for (let lookedAt = 0, stretch = limit; ; stretch = Math.min(2 * stretch, mostInStretch)) {
    const room = limit - items.length;
    const count = hearsAll ? room : Math.max(room, stretch);
    const { entries, hasMore, goneUpTo } = await deps.eventFeed.read(next, count);
    if (goneUpTo !== null)
      return items.length > 0 ? { kind: 'told', items, next, hasMore: true } : { kind: 'gone', upTo: goneUpTo };
    const heard = await visibleTo(deps, audience, entries);
    items.push(...heard.slice(0, room));
    lookedAt += entries.length;
    const isCut = heard.length > room;
    next = (isCut ? items.at(-1)?.cursor : entries.at(-1)?.place) ?? next;
    if (isCut || !hasMore || items.length === limit || lookedAt >= mostLookedAt)
      return { kind: 'told', items, next, hasMore: isCut || hasMore };
  }
}

/** The entries that the reader may see. */
async function visibleTo(deps: FactsDeps, audience: Reader, entries: readonly OutboxEntry[]): Promise<FeedItem[]> {
  const wanted = entries.filter(({ event }) => event !== null && wantsType(audience, event));
  const items = await withFacts(deps, wanted);
  return items.filter((item) => isVisibleTo(audience, item));
}

/** What cannot be read is passed over. The facts of each email are loaded once, and all of them in one round trip. */
export async function withFacts({ emails }: FactsDeps, entries: readonly OutboxEntry[]): Promise<FeedItem[]> {
  const told = entries.flatMap(({ place, event }) => (event === null ? [] : [{ cursor: place, event }]));
  const facts = await emails.facts(emailIdsIn(told.map(({ event }) => event)));
  return told.map((one) => ({ ...one, facts: factsFor(one.event, facts) }));
}
