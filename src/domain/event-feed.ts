/** The event feed: places in it, and which of its events a reader may see. */
import { domainOf } from './address.ts';
import { isUnrestricted, type KeyLimits, permits } from './api-key.ts';
import type { EmailFacts } from './email.ts';
import type { EventType, OutboxEvent } from './event.ts';

/** A place in the feed, an id of the outbox stream. Callers only store it and give it back. Redis accepts any id of this form. */
export const cursorForm = /^\d{1,19}-\d{1,19}$/;

/** Negative when `a` comes before `b`. */
export function compareCursors(a: string, b: string): number {
  const [x, y] = [sortableCursor(a), sortableCursor(b)];
  return x < y ? -1 : x > y ? 1 : 0;
}

/** A text that sorts as the place sorts in the feed. */
export function sortableCursor(cursor: string): string {
  const dash = cursor.indexOf('-');
  return cursor.slice(0, dash).padStart(19, '0') + cursor.slice(dash + 1).padStart(19, '0');
}

/** When the event at a place was stored, milliseconds since the epoch. */
export function placeTime(place: string): number {
  return Number(place.slice(0, place.indexOf('-')));
}

/** An event at its place, with the facts of its email; null when it is about no email, or the email's record is gone. */
export type FeedItem = { readonly cursor: string; readonly event: OutboxEvent; readonly facts: EmailFacts | null };

export type FactsById = ReadonlyMap<string, EmailFacts>;

/** The ids of the emails that events are about, each once. */
export function emailIdsIn(events: readonly OutboxEvent[]): string[] {
  return [...new Set(events.flatMap((event) => ('emailId' in event ? [event.emailId] : [])))];
}

/** Null when the event is about no email, or its record is gone. */
export function factsFor(event: OutboxEvent, known: FactsById): EmailFacts | null {
  return 'emailId' in event ? (known.get(event.emailId) ?? null) : null;
}

/** What a reader asks for, and what it may see. */
export type Reader = {
  /** null for all types. */
  readonly types: ReadonlySet<EventType> | null;
  readonly limits: KeyLimits;
};

/**
 * Whether a reader may see an event. When the email's record is gone, nobody knows whose email it was, so only a reader of all mail sees the
 * event.
 */
export function isVisibleTo(audience: Reader, { event, facts }: Omit<FeedItem, 'cursor'>): boolean {
  if (!wantsType(audience, event)) return false;
  if (isUnrestricted(audience.limits)) return true;
  return facts !== null && permits(audience.limits, { domain: domainOf(facts.from.address), lane: facts.lane });
}

export function wantsType({ types }: Pick<Reader, 'types'>, { type }: Pick<OutboxEvent, 'type'>): boolean {
  return types === null || types.has(type);
}
