/** notify: events from the outbox wait for each endpoint that wants them. */
import type { EmailFacts } from '../domain/email.ts';
import { type Listener, wants } from '../domain/webhook.ts';
import type { Emails } from '../store/emails.ts';
import type { Outbox, OutboxEntry } from '../store/outbox.ts';
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
  const facts = await factsFor(deps, entries, listeners);
  const handed = entries.map((entry) => ({ place: entry.place, webhookIds: wantedBy(entry, listeners, facts) }));
  await deps.posts.hand(handed, deps.now());
  deps.wake();
}

function wantedBy({ event }: OutboxEntry, listeners: readonly Listener[], facts: FactsById): string[] {
  const known = 'emailId' in event ? (facts.get(event.emailId) ?? null) : null;
  return listeners.filter((listener) => wants(listener, event, known)).map(({ id }) => id);
}

type FactsById = ReadonlyMap<string, EmailFacts>;

/** Of the emails that the events are about; only where an endpoint asks what they are like. */
async function factsFor(
  { emails }: Deps,
  entries: readonly OutboxEntry[],
  listeners: readonly Listener[],
): Promise<FactsById> {
  if (listeners.every(({ filter }) => filter === null)) return new Map();
  const ids = [...new Set(entries.flatMap(({ event }) => ('emailId' in event ? [event.emailId] : [])))];
  const found = await emails.facts(ids);
  return new Map(ids.flatMap((id, index) => (found[index] ? [[id, found[index]] as const] : [])));
}
