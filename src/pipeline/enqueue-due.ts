/** enqueue-due: moves due emails into the queue of their lane, several to a job. */
import { inChunks } from '../domain/in-chunks.ts';
import { type Lane, lanes } from '../domain/lane.ts';
import type { DeliverQueue } from '../queue/deliver-queue.ts';
import type { Bell } from '../store/bell.ts';
import type { Due } from '../store/due.ts';

type Deps = {
  due: Pick<Due, 'take' | 'done'>;
  bell: Pick<Bell, 'heard'>;
  deliverQueues: Readonly<Record<Lane, Pick<DeliverQueue, 'add' | 'waiting'>>>;
  /** After this, emails taken by a worker that died are due again. Longer than the queue takes to answer. */
  leaseMs: number;
  /** Emails in one job: they share the cost of the job, and one worker has them all. */
  jobSize: number;
  /** Waits; `stop` ends it. */
  wait(ms: number, stop: AbortSignal): Promise<void>;
  newId(prefix: 'jb'): string;
  now(): number;
};

/** Emails of a lane in one step: enough to spread the cost of a round trip, few enough not to keep the other lane waiting. */
const batchSize = 500;
/** Jobs that may wait in a queue. The rest stays in the store, where it is counted, moved and taken in order. */
const maxWaitingJobs = 40;
/** Emails that become due later, or that a dead worker left, are found at most this late. */
const lookEveryMs = 1_000;
/** A full queue is looked at again this soon. */
const fullWaitMs = 50;
/** While emails come in a stream, they are taken together this often: jobs of one email would cost a third more CPU. The first goes at once. */
const gatherMs = 10;

/**
 * Feeds a batch of each lane, then waits until more is due. Emails that a worker took but did not queue before it died are due again after
 * `leaseMs`. An email may then be in two jobs: only one of them can claim it.
 */
export async function enqueueDue(deps: Deps, stop: AbortSignal): Promise<void> {
  const fed: Fed[] = [];
  for (const lane of lanes) fed.push(await feedLane(deps, lane));
  const waitMs = Math.min(lookEveryMs, ...fed.map((lane) => lane.waitMs));
  if (fed.some(({ isStream }) => isStream)) await deps.wait(gatherMs, stop);
  else if (waitMs > 0 && !stop.aborted) await deps.bell.heard(waitMs, stop);
}

type Fed = {
  /** Some emails were taken, but less than a batch: more may come at any moment. */
  readonly isStream: boolean;
  /** How long until there is more to feed, as far as is known. */
  readonly waitMs: number;
};

async function feedLane(deps: Deps, lane: Lane): Promise<Fed> {
  const queue = deps.deliverQueues[lane];
  if ((await queue.waiting()) >= maxWaitingJobs) return { isStream: false, waitMs: fullWaitMs };
  const take = deps.newId('jb');
  const taken = await deps.due.take(lane, take, deps.leaseMs, batchSize, deps.now());
  if (taken.ids.length > 0) {
    const jobs = inChunks(taken.ids, deps.jobSize).map((emails) => ({ id: deps.newId('jb'), emails }));
    await queue.add(jobs, deps.now());
    await deps.due.done(lane, take);
  }
  const waitMs = taken.nextAt === null ? lookEveryMs : Math.max(0, Math.ceil(taken.nextAt - deps.now()));
  return { isStream: taken.ids.length > 0 && taken.ids.length < batchSize, waitMs };
}
