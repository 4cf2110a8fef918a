/** notify: events from the outbox wait for each endpoint that wants them. */
import { emailIdsIn, factsFor } from '../domain/event-feed.ts';
import { wants } from '../domain/webhook.ts';
import type { Emails } from '../store/emails.ts';
import type { Outbox } from '../store/outbox.ts';
import type { Posts } from '../store/posts.ts';
import type { Webhooks } from '../store/webhooks.ts';

type Deps = {
  outbox: Pick<Outbox, 'next' | 'acknowledge'>;
  webhooks: Pick<Webhooks, 'listeners'>;
  emails: Pick<Emails, 'facts'>;
  posts: Pick<Posts, 'hand'>;
  /** Has what waits looked at now. */
  wake(): void;
  now(): number;
};

/** Events taken at a time: enough to spread the cost of a round trip, few enough to hold in memory. */
const batchSize = 500;

/** Handles the next batch; waits a moment when there is none. Where nobody listens, its events are not even read. */
export async function notify(deps: Deps, stop: AbortSignal): Promise<void> {
  const entries = await deps.outbox.next(batchSize, stop);
  if (entries.length === 0) return;
  const listeners = (await deps.webhooks.listeners()).filter(({ status }) => status === 'enabled');
  if (listeners.length === 0) return deps.outbox.acknowledge(entries);
  // Only where an endpoint asks what emails are like.
  const asked = listeners.some(({ filter }) => filter !== null) ? emailIdsIn(entries.map(({ event }) => event)) : [];
  const facts = await deps.emails.facts(asked);
  const handed = entries.map(({ place, event }) => {
    const known = factsFor(event, facts);
    return { place, webhookIds: listeners.filter((listener) => wants(listener, event, known)).map(({ id }) => id) };
  });
  await deps.posts.hand(handed, deps.now());
  deps.wake();
}
