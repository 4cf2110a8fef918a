/** build-payloads: builds the payloads of a parcel from its events and their emails at each try, so that no body has to be stored. */
import { placesIn } from '../domain/delivery.ts';
import { eventPayload } from '../domain/event.ts';
import { emailIdsIn, factsFor } from '../domain/event-feed.ts';
import type { IdentifiedPayload } from '../domain/webhook-request.ts';
import type { Emails } from '../store/emails.ts';
import type { Events } from '../store/events.ts';

type Deps = { events: Pick<Events, 'at'>; emails: Pick<Emails, 'facts'> };

/** @returns its events in their order; those that are no longer stored are left out */
export async function buildPayloads({ events, emails }: Deps, parcel: string): Promise<IdentifiedPayload[]> {
  const read = await Promise.all(placesIn(parcel).map((place) => events.at(place)));
  const found = read.filter((event) => event !== null);
  const facts = await emails.facts(emailIdsIn(found));
  return found.map((event) => ({ id: event.id, payload: eventPayload(event, factsFor(event, facts)) }));
}
