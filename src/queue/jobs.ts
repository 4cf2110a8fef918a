/** Job queues: a stage runs on each job, and its Answer decides what becomes of the job. */
import { type ConnectionOptions, DelayedError, type Job, Worker } from 'bullmq';
import { type Deadline, waitUntil } from '../concurrency/deadline.ts';
import type { Answer } from '../domain/outcome.ts';

/** The names of all queues: delivery has one for each lane, so that neither lane waits behind the other. */
export type QueueName = 'deliver' | 'deliver_bulk';

/** A count that is never reached. Redis scripts keep 14 digits, so the largest integer would not do. */
const unlimited = 1_000_000_000;
/** Wait after a stage threw: a bug, or Redis is away. A quick retry helps with neither. */
const troubleWaitMs = 5_000;

/** BullMQ's own event stream is not used: it is kept short. */
export const queueSettings = {
  skipVersionCheck: true,
  skipWaitingForReady: true,
  streams: { events: { maxLen: 100 } },
};

export type QueueConnection = { readonly redis: ConnectionOptions; readonly prefix: string };

export const jobOptions = {
  removeOnComplete: true,
  // A job never fails for good, because it holds mail. When even the answer of its stage cannot be stored (Redis full or read-only),
  // the job comes back after the backoff.
  attempts: unlimited,
  backoff: troubleWaitMs,
};

export type WorkerOptions = {
  readonly concurrency: number;
  /** Another worker takes over the jobs of a dead one after this long. The lock is renewed while the process lives, so a long send keeps it. */
  readonly lockMs: number;
  /** Jobs that outlast the deadline are not waited for any more. */
  readonly deadline: Deadline;
  /** Takes the end of all jobs, which may come after the deadline. */
  outlasts(work: Promise<void>): void;
  /** Aborted when the process begins to stop: all workers stop taking jobs at once. */
  readonly stopping: AbortSignal;
  /** Aborted when a stop gives up waiting for a Redis that is away. */
  readonly cut: AbortSignal;
  /** The stage threw, which means a bug or that Redis is away. */
  onTrouble(queue: QueueName, error: unknown, fields?: { readonly job: string }): void;
  /** The clock of the fleet. */
  now(): number;
  /** The clock of this machine, which BullMQ uses. */
  ownNow(): number;
};

/** The argument of a stage: the id of the job and its data. */
export type JobIn<Data> = { readonly id: string; readonly data: Data };

/** Runs `stage` on each job: done removes it, `{ again }` brings it back at that time. */
export async function openWorker<Data>(
  name: QueueName,
  stage: (job: JobIn<Data>) => Promise<Answer>,
  { redis, prefix }: QueueConnection,
  options: WorkerOptions,
): Promise<AsyncDisposable> {
  async function run(job: Job<Data>, token?: string): Promise<void> {
    const id = job.id ?? '';
    const answer = await stage({ id, data: job.data }).catch((error: unknown): Answer => {
      options.onTrouble(name, error, { job: id });
      return { again: options.now() + troubleWaitMs };
    });
    if ('done' in answer) return;
    await job.moveToDelayed(options.ownNow() + answer.again - options.now(), token);
    throw new DelayedError();
  }

  const worker = new Worker<Data>(name, run, {
    connection: redis,
    prefix,
    concurrency: options.concurrency,
    lockDuration: options.lockMs,
    stalledInterval: options.lockMs,
    // A job holds mail, so it is taken over however often its worker dies.
    maxStalledCount: unlimited,
  });
  worker.on('error', (error) => options.onTrouble(name, error));
  await worker.waitUntilReady();
  assertRenewed(worker.opts);

  let closing: Promise<void> | undefined;
  const close = () => {
    if (closing !== undefined) return closing;
    // A close that waits for its jobs cannot be changed into a forced one, so it is left waiting.
    const closed = worker.close();
    options.outlasts(closed);
    closing = waitUntil(closed, options.deadline.begin(), options.cut);
    return closing;
  };
  options.stopping.addEventListener('abort', () => void close(), { once: true });

  return {
    /** Waits for the jobs in hand, until the deadline. */
    [Symbol.asyncDispose]: close,
  };
}

/**
 * The lock of a job must be renewed for as long as the process lives: a send may wait ten minutes for the answer to the final dot. If the
 * lock lapsed meanwhile, another worker would take over the email that this one is still sending.
 * @throws when the lock would lapse before it is renewed
 */
export function assertRenewed(options: {
  lockDuration?: number;
  lockRenewTime?: number;
  skipLockRenewal?: boolean;
}): void {
  const { lockDuration = 0, lockRenewTime = Number.POSITIVE_INFINITY, skipLockRenewal = false } = options;
  if (skipLockRenewal || lockRenewTime >= lockDuration)
    throw new Error(`A job's lock of ${lockDuration} ms would lapse before it is renewed (after ${lockRenewTime} ms)`);
}
