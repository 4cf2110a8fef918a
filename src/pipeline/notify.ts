/** notify: events from the outbox wait for each endpoint that wants them. */
import type { OutboxEvent } from '../domain/event.ts';
import { emailIdsIn, type FactsById, factsFor } from '../domain/event-feed.ts';
import { type Listener, wants } from '../domain/webhook.ts';
import type { Emails } from '../store/emails.ts';
import type { Outbox } from '../store/outbox.ts';
import type { Posts } from '../store/posts.ts';
import type { Webhooks } from '../store/webhooks.ts';

type Deps = {
  outbox: Pick<Outbox, 'next' | 'acknowledge'>;
  webhooks: Pick<Webhooks, 'listeners'>;
  emails: Pick<Emails, 'facts'>;
  posts: Pick<Posts, 'hand'>;
  /** Called once with the places of events that cannot be read: no endpoint receives them. */
  reportUnreadable(places: readonly string[]): void;
  /** Has what waits looked at now. */
  wake(): void;
  now(): number;
};

/** Events taken at a time: enough to spread the cost of a round trip, few enough to hold in memory. */
const batchSize = 500;

/** Handles the next batch; waits a moment when there is none. Without an enabled endpoint the batch is only acknowledged. */
export async function notify(deps: Deps, stop: AbortSignal): Promise<void> {
  const entries = await deps.outbox.next(batchSize, stop);
  if (entries.length === 0) return;
  const listeners = (await deps.webhooks.listeners()).filter(({ status }) => status === 'enabled');
  if (listeners.length === 0) return deps.outbox.acknowledge(entries);
  const read = entries.map(({ place, event }) => ({ place, event }));
  const events = read.flatMap(({ event }) => event ?? []);
  // Only where an endpoint asks what emails are like.
  const facts = await deps.emails.facts(listeners.some(({ filter }) => filter !== null) ? emailIdsIn(events) : []);
  const handed = read.map(({ place, event }) => ({ place, webhookIds: listenerIdsFor(listeners, event, facts) }));
  await deps.posts.hand(handed, deps.now());
  const unreadable = read.filter(({ event }) => event === null).map(({ place }) => place);
  if (unreadable.length > 0) deps.reportUnreadable(unreadable);
  deps.wake();
}

function listenerIdsFor(listeners: readonly Listener[], event: OutboxEvent | null, facts: FactsById): string[] {
  if (event === null) return [];
  const known = factsFor(event, facts);
  return listeners.filter((listener) => wants(listener, event, known)).map(({ id }) => id);
}
