/** sweep: brings to the queue what was stored but never got there, because a process died in between. */
import type { JobQueue } from '../queue/jobs.ts';
import type { Emails } from '../store/emails.ts';

type Deps = {
  emails: Pick<Emails, 'unqueued' | 'markQueued'>;
  deliverQueue: Pick<JobQueue, 'add'>;
  /** Younger emails are still on their way by themselves. */
  olderThanMs: number;
  now(): number;
};

const batchSize = 500;

/** Queues again whatever is overdue. An id that is already queued is not queued twice, and one that was sent is left alone by deliver. */
export async function sweep(deps: Deps): Promise<void> {
  const at = deps.now();
  const ids = await deps.emails.unqueued(at - deps.olderThanMs, batchSize);
  if (ids.length === 0) return;
  await deps.deliverQueue.add(ids.map((id) => ({ id, at })));
  deps.emails.markQueued(ids);
}
