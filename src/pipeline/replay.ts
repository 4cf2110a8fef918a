/** replay: has past events posted to an endpoint again, under the same `webhook-id`, also those it never got. */
import { placesIn } from '../domain/delivery.ts';
import type { EventType } from '../domain/event.ts';
import { emailIdsIn, factsFor } from '../domain/event-feed.ts';
import { type Webhook, wants } from '../domain/webhook.ts';
import type { CreationMark } from '../store/creations.ts';
import type { Deliveries } from '../store/deliveries.ts';
import type { Emails } from '../store/emails.ts';
import type { Events } from '../store/events.ts';
import type { OutboxEntry } from '../store/outbox.ts';
import type { Posts } from '../store/posts.ts';

type Deps = {
  events: Pick<Events, 'at' | 'find' | 'between'>;
  emails: Pick<Emails, 'facts'>;
  deliveries: Pick<Deliveries, 'get'>;
  posts: Pick<Posts, 'again'>;
  now(): number;
};

export type ReplayRequest =
  | { readonly kind: 'event'; readonly eventId: string }
  | { readonly kind: 'delivery'; readonly deliveryId: string }
  /** Times in milliseconds since the epoch, both inclusive. Without `types`: all types the endpoint subscribes to. */
  | { readonly kind: 'range'; readonly since: number; readonly until: number; readonly types?: readonly EventType[] };

/** How many posts were added, and from when on a range was not read; null when all of it was. */
export type Replayed = { readonly count: number; readonly restSince: number | null };

/** Most events of a range read in one request, so that it answers in time. The caller continues from `restSince`. */
const maxLookedAt = 100_000;
const chunkSize = 1_000;

/**
 * When it returns, the posts wait for their endpoint and are stored durably. A repeat adds nothing that still waits; a repeat under the same
 * `mark` adds nothing that was posted since either. Null when there is no such event or delivery, or its events are no longer stored.
 */
export async function replay(
  deps: Deps,
  webhook: Webhook,
  request: ReplayRequest,
  mark: CreationMark | null = null,
): Promise<Replayed | null> {
  switch (request.kind) {
    case 'range':
      return replayRange(deps, webhook, request, mark);
    case 'event':
      return replayParcel(deps, webhook, await deps.events.find(request.eventId), mark);
    case 'delivery': {
      const delivery = await deps.deliveries.get(webhook.id, request.deliveryId);
      return replayParcel(deps, webhook, delivery?.parcel ?? null, mark);
    }
  }
}

async function replayParcel(
  deps: Deps,
  { id }: Webhook,
  parcel: string | null,
  mark: CreationMark | null,
): Promise<Replayed | null> {
  const places = parcel === null ? [] : placesIn(parcel);
  const stored = await Promise.all(places.map((place) => deps.events.at(place)));
  if (parcel === null || stored.every((event) => event === null)) return null;
  await deps.posts.again(id, [parcel], deps.now(), mark);
  return { count: 1, restSince: null };
}

async function replayRange(
  deps: Deps,
  webhook: Webhook,
  { since, until, types = webhook.events }: ReplayRequest & { kind: 'range' },
  mark: CreationMark | null,
): Promise<Replayed> {
  const asked = { ...webhook, events: types };
  let [count, lookedAt] = [0, 0];
  let chunk: OutboxEntry[] = [];
  const flush = async () => {
    const places = await matching(deps, asked, chunk);
    await deps.posts.again(webhook.id, places, deps.now(), mark);
    count += places.length;
    chunk = [];
  };
  for await (const entry of deps.events.between(since, until)) {
    if (lookedAt === maxLookedAt) {
      await flush();
      return { count, restSince: Number(entry.place.split('-')[0]) };
    }
    lookedAt += 1;
    chunk.push(entry);
    if (chunk.length === chunkSize) await flush();
  }
  await flush();
  return { count, restSince: null };
}

async function matching({ emails }: Deps, webhook: Webhook, chunk: readonly OutboxEntry[]): Promise<string[]> {
  const read = chunk.flatMap(({ place, event }) => (event === null ? [] : [{ place, event }]));
  const asked = webhook.filter === null ? [] : emailIdsIn(read.map(({ event }) => event));
  const facts = await emails.facts(asked);
  return read.filter(({ event }) => wants(webhook, event, factsFor(event, facts))).map(({ place }) => place);
}
