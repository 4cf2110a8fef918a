/** Job queues: a stage runs on each job, and its Answer decides what becomes of it. */
import { type ConnectionOptions, DelayedError, type Job, Worker } from 'bullmq';
import { type Deadline, waitUntil } from '../concurrency/deadline.ts';
import type { Answer } from '../domain/outcome.ts';

/** The queues there are: delivery has one for each lane, so that neither waits behind the other. */
export type QueueName = 'deliver' | 'deliver_bulk';

/** A count that is never reached. Redis scripts keep 14 digits, so the largest integer would not do. */
const unlimited = 1_000_000_000;
/** Wait after a stage threw: a bug or Redis away, and neither is mended by hurrying. */
const troubleWaitMs = 5_000;

/** BullMQ's own event stream is of no use here: kept short. */
export const queueSettings = {
  skipVersionCheck: true,
  skipWaitingForReady: true,
  streams: { events: { maxLen: 100 } },
};

export type QueueConnection = { readonly redis: ConnectionOptions; readonly prefix: string };

export const jobOptions = {
  removeOnComplete: true,
  // A job never fails for good: it holds somebody's mail. Should even the answer of its stage be refused (Redis full or read-only),
  // it comes back after a while.
  attempts: unlimited,
  backoff: troubleWaitMs,
};

export type WorkerOptions = {
  readonly concurrency: number;
  /** A dead worker's jobs are taken over after this long. Renewed while the process lives, so it outlives any wait on a socket. */
  readonly lockMs: number;
  /** Jobs that outlast it are left. */
  readonly deadline: Deadline;
  /** Aborted when the process begins to stop: all workers stop taking jobs at once. */
  readonly stopping: AbortSignal;
  /** Aborted when a stop gives up what waits for a Redis that is away. */
  readonly cut: AbortSignal;
  /** The stage threw, which means a bug or that Redis is away. */
  onTrouble(queue: QueueName, error: unknown, fields?: { readonly job: string }): void;
  now(): number;
};

/** What a stage is given: the job's id, and its data where it has any. */
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
    // BullMQ goes by the clock of the machine, whatever that shows.
    await job.moveToDelayed(Date.now() + answer.again - options.now(), token);
    throw new DelayedError();
  }

  const worker = new Worker<Data>(name, run, {
    connection: redis,
    prefix,
    concurrency: options.concurrency,
    lockDuration: options.lockMs,
    stalledInterval: options.lockMs,
    // A job whose worker dies is taken over however often that happens: it holds somebody's mail.
    maxStalledCount: unlimited,
  });
  worker.on('error', (error) => options.onTrouble(name, error));
  await worker.waitUntilReady();
  assertRenewed(worker.opts);

  let closing: Promise<void> | undefined;
  const close = () => {
    // BullMQ gives no second word once it waits for its jobs, so it is left waiting.
    closing ??= waitUntil(worker.close(), options.deadline.begin(), options.cut);
    return closing;
  };
  options.stopping.addEventListener('abort', () => void close(), { once: true });

  return {
    /** Waits for the jobs in hand; those that outlast the deadline are left, and taken over by another worker. */
    [Symbol.asyncDispose]: close,
  };
}

/**
 * A lock outlives any wait on a socket, ten minutes for the answer to a final dot among them, because it is renewed for as long as the process
 * lives. Without that, another worker would send what this one is sending.
 * @throws when it would lapse before it is renewed
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
