/** feed: what is due goes to the queue: new emails, scheduled ones whose time has come, and those that a caller moved. */
import { type Lane, lanes } from '../domain/lane.ts';
import { nextDue } from '../domain/recipient.ts';
import type { JobQueue } from '../queue/jobs.ts';
import type { Bell } from '../store/bell.ts';
import type { Emails } from '../store/emails.ts';

type Deps = {
  emails: Pick<Emails, 'due' | 'read' | 'strikeOff'>;
  bell: Pick<Bell, 'heard'>;
  deliverQueues: Readonly<Record<Lane, Pick<JobQueue, 'add' | 'place'>>>;
  now(): number;
};

/** Emails of a lane in one step: enough to spread the cost of a round trip, few enough not to keep the other lane waiting. */
const batchSize = 500;
/** The bell tells of what is due at once; what becomes due later, or is left by a worker that died, is found this much later at most. */
const lookEveryMs = 1_000;

/**
 * Feeds a batch of each lane, then waits for the bell unless there was more. An email is struck off once it is in the queue, so a worker
 * that dies in between leaves it to the next; the queue takes each id once, and deliver leaves alone what was sent.
 */
export async function feed(deps: Deps, stop: AbortSignal): Promise<void> {
  let isMore = false;
  for (const lane of lanes) isMore = (await feedLane(deps, lane)) || isMore;
  isMore = (await feedMoved(deps)) || isMore;
  if (!isMore && !stop.aborted) await deps.bell.heard(lookEveryMs, stop);
}

async function feedLane(deps: Deps, lane: Lane): Promise<boolean> {
  const now = deps.now();
  const marks = await deps.emails.due(lane, now, batchSize);
  if (marks.length === 0) return false;
  await deps.deliverQueues[lane].add(marks, now);
  await deps.emails.strikeOff(lane, marks);
  return marks.length === batchSize;
}

/** These may have a job already, at another time or running. While it runs, nobody knows when it comes back: they are looked at again. */
async function feedMoved(deps: Deps): Promise<boolean> {
  const now = deps.now();
  const marks = await deps.emails.due('moved', now, batchSize);
  const isFed = await Promise.all(marks.map(({ id }) => place(deps, id, now)));
  const fed = marks.filter((_, index) => isFed[index]);
  await deps.emails.strikeOff('moved', fed);
  return fed.length === batchSize;
}

async function place(deps: Deps, id: string, now: number): Promise<boolean> {
  const email = await deps.emails.read(id);
  const at = email === null ? null : nextDue(email.state);
  if (email === null || at === null) return true;
  return deps.deliverQueues[email.facts.lane].place({ id, at }, now);
}
