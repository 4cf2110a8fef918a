/** notify: events from the outbox become one job for each endpoint that wants them. */
import { postId, type Webhook, wants } from '../domain/webhook.ts';
import type { JobQueue } from '../queue/jobs.ts';
import type { Outbox, OutboxEntry } from '../store/outbox.ts';
import type { Webhooks } from '../store/webhooks.ts';

type Deps = {
  outbox: Pick<Outbox, 'next' | 'acknowledge'>;
  webhooks: Pick<Webhooks, 'list'>;
  postQueue: Pick<JobQueue, 'add'>;
};

/** Events taken at a time: enough to spread the cost of a round trip, few enough to hold in memory. */
const batchSize = 500;

/** Handles the next batch; waits a moment when there is none. Acknowledged only once its jobs are in the queue. */
export async function notify(deps: Deps, stop: AbortSignal): Promise<void> {
  const entries = await deps.outbox.next(batchSize, stop);
  if (entries.length === 0) return;
  const webhooks = await deps.webhooks.list();
  const ids = webhooks.length === 0 ? [] : entries.flatMap((entry) => postsFor(entry, webhooks));
  await deps.postQueue.add(ids);
  await deps.outbox.acknowledge(entries);
}

function postsFor({ place, event }: OutboxEntry, webhooks: readonly Pick<Webhook, 'id' | 'events'>[]): string[] {
  return webhooks.filter((webhook) => wants(webhook, event)).map(({ id }) => postId({ place, webhookId: id }));
}
