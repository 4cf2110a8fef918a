/** Job queues: ids go in, a stage runs on each, and its Answer decides. The only retry authority. */
import { type ConnectionOptions, DelayedError, type Job, type JobsOptions, Queue, Worker } from 'bullmq';
import type { Lane } from '../domain/lane.ts';
import type { Answer } from '../domain/outcome.ts';

/** Job data is nothing but the time it is for; the id says the rest. */
type JobData = { readonly at: number };

/** The queues there are: delivery has one for each lane, so that neither waits behind the other. */
export type QueueName = 'deliver' | 'deliver_bulk' | 'post';

/** A job for `id`, to run at `at` (milliseconds since the epoch) or as soon as may be after it. */
export type QueuedJob = { readonly id: string; readonly at: number };

/** Where a job is. */
export type JobPlace = 'waiting' | 'delayed' | 'active' | 'absent';

export type JobQueue = AsyncDisposable & {
  /** Adds jobs, each once: an id that is waiting, running or delayed is left as it is. */
  add(jobs: readonly QueuedJob[], now: number): Promise<void>;
  /** Adds a job or moves it to another time. False while it is running: whoever runs it decides when it comes back. */
  place(job: QueuedJob, now: number): Promise<boolean>;
  whereIs(id: string): Promise<JobPlace>;
  /** Jobs that are in nobody's hands: those due and those delayed. One round trip, whatever their number. */
  waiting(): Promise<number>;
};

/** Jobs added in one round trip; more would make one command long enough to hold up others. */
const chunkSize = 500;
/** A count that is never reached. Redis scripts keep 14 digits, so the largest integer would not do. */
const unlimited = 1_000_000_000;
/** Wait after a stage threw: a bug or Redis away, and neither is mended by hurrying. */
const troubleWaitMs = 5_000;

/** BullMQ's own event stream is of no use here: kept short. */
const queueSettings = { skipVersionCheck: true, skipWaitingForReady: true, streams: { events: { maxLen: 100 } } };

export type QueueConnection = { readonly redis: ConnectionOptions; readonly prefix: string };

const jobOptions = {
  removeOnComplete: true,
  // A job never fails for good: it holds somebody's mail. Should even the answer of its stage be refused (Redis full or read-only),
  // it comes back after a while.
  attempts: unlimited,
  backoff: troubleWaitMs,
};

export function openQueue(name: QueueName, { redis, prefix }: QueueConnection): JobQueue {
  const queue = new Queue<JobData>(name, { connection: redis, prefix, ...queueSettings });
  queue.on('error', () => {}); // every call reports its own failure

  function optionsOf({ id, at }: QueuedJob, now: number): JobsOptions {
    return at > now ? { ...jobOptions, jobId: id, timestamp: now, delay: at - now } : { ...jobOptions, jobId: id };
  }

  async function whereIs(id: string): Promise<JobPlace> {
    const state = await queue.getJobState(id);
    if (state === 'waiting' || state === 'delayed' || state === 'active') return state;
    return 'absent';
  }

  async function add(jobs: readonly QueuedJob[], now: number): Promise<void> {
    const [only] = jobs;
    if (only === undefined) return;
    // One job in a bulk takes 66 µs, by itself 36.
    if (jobs.length === 1) {
      await queue.add(name, { at: only.at }, optionsOf(only, now));
      return;
    }
    for (let from = 0; from < jobs.length; from += chunkSize) {
      const chunk = jobs.slice(from, from + chunkSize);
      await queue.addBulk(chunk.map((job) => ({ name, data: { at: job.at }, opts: optionsOf(job, now) })));
    }
  }

  return {
    add,
    whereIs,
    async place(job, now) {
      const place = await whereIs(job.id);
      if (place === 'active') return false;
      if (place === 'waiting') return true; // whoever takes it sees when it is due
      if (place === 'absent') {
        await add([job], now);
        return true;
      }
      const delayed = await queue.getJob(job.id);
      try {
        await delayed?.changeDelay(Math.max(0, job.at - now));
        return delayed !== undefined;
      } catch (error) {
        if ((await whereIs(job.id)) === 'delayed') throw error;
        return false; // it was taken meanwhile
      }
    },
    waiting: () => queue.getJobCountByTypes('wait', 'prioritized', 'delayed'),
    [Symbol.asyncDispose]: () => queue.close(),
  };
}

/** The queue of each lane. */
export type DeliverQueues = Readonly<Record<Lane, JobQueue>>;

export function openDeliverQueues(connection: QueueConnection): DeliverQueues & AsyncDisposable {
  const transactional = openQueue('deliver', connection);
  const bulk = openQueue('deliver_bulk', connection);
  return {
    transactional,
    bulk,
    async [Symbol.asyncDispose]() {
      await transactional[Symbol.asyncDispose]();
      await bulk[Symbol.asyncDispose]();
    },
  };
}

/** Where an email's job is, and how many wait in its lane. */
export async function whereabouts(queues: DeliverQueues, id: string, lane: Lane) {
  const [job, waiting] = await Promise.all([queues[lane].whereIs(id), queues[lane].waiting()]);
  return { job, waiting };
}

export type WorkerOptions = {
  readonly concurrency: number;
  /** A dead worker's jobs are taken over after this long. Renewed while the process lives, so it outlives any wait on a socket. */
  readonly lockMs: number;
  readonly shutdownTimeoutMs: number;
  /** Aborted when the process begins to stop: all workers stop taking jobs at once, and share the time they have. */
  readonly stopping: AbortSignal;
  /** The stage threw, which means a bug or that Redis is away. */
  onTrouble(queue: QueueName, error: unknown, fields?: { readonly job: string }): void;
  now(): number;
};

/** Runs `stage` on each job: done removes it, `{ again }` brings it back at that time. */
export async function openWorker(
  name: QueueName,
  stage: (id: string) => Promise<Answer>,
  { redis, prefix }: QueueConnection,
  options: WorkerOptions,
): Promise<AsyncDisposable> {
  async function run(job: Job<JobData>, token?: string): Promise<void> {
    const id = job.id ?? '';
    const answer = await stage(id).catch((error: unknown): Answer => {
      options.onTrouble(name, error, { job: id });
      return { again: options.now() + troubleWaitMs };
    });
    if ('done' in answer) return;
    await job.moveToDelayed(answer.again, token);
    throw new DelayedError();
  }

  const worker = new Worker<JobData>(name, run, {
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

  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= within(worker.close(), options.shutdownTimeoutMs);
    return closing;
  };
  options.stopping.addEventListener('abort', () => void close(), { once: true });

  return {
    /** Waits for the jobs in hand; those that outlast the timeout are left, and taken over by another worker. */
    [Symbol.asyncDispose]: close,
  };
}

/** BullMQ gives no second word once it waits for its jobs, so it is left waiting. */
async function within(work: Promise<void>, timeoutMs: number): Promise<void> {
  const timeout = Promise.withResolvers<void>();
  const timer = setTimeout(timeout.resolve, timeoutMs);
  await Promise.race([work, timeout.promise]);
  clearTimeout(timer);
}
