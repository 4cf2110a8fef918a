/** notify: takes events from the outbox and adds each to the waiting posts of every endpoint that wants it. */
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
  /** Wakes the loop that posts. */
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
  // The facts of emails are loaded only when an endpoint has a filter.
  const asked = listeners.some(({ filter }) => filter !== null) ? emailIdsIn(entries.map(({ event }) => event)) : [];
  const facts = await deps.emails.facts(asked);
  const handed = entries.map(({ place, event }) => {
    const known = factsFor(event, facts);
    return { place, webhookIds: listeners.filter((listener) => wants(listener, event, known)).map(({ id }) => id) };
  });
  await deps.posts.hand(handed, deps.now());
  deps.wake();
}
