/** The delivery queues, one for each lane. A job carries the ids of a few emails, which are delivered at the same time. */
import { Queue } from 'bullmq';
import type { Lane } from '../domain/lane.ts';
import { jobOptions, type QueueConnection, type QueueName, queueSettings } from './jobs.ts';

/** Emails to deliver, and the id of the job, which is stored with each hand-over. */
export type DeliverJob = { readonly id: string; readonly emails: readonly string[] };

/** Where the job of an email is, and how many emails wait in the queue for a worker. */
type Whereabouts = { readonly job: 'waiting' | 'active' | 'absent'; readonly waiting: number };

export type DeliverQueue = AsyncDisposable & {
  /** @param at now, by the clock of the fleet: BullMQ would use the clock of the machine */
  add(jobs: readonly DeliverJob[], at: number): Promise<void>;
  /** Jobs that wait for a worker. */
  waiting(): Promise<number>;
  /** When the oldest job was added (milliseconds since the epoch), waiting, active or delayed; null when there is none. */
  oldestAt(): Promise<number | null>;
  /** Whether a job is still in the queue: waiting, running, or left behind by a worker that died. */
  isLive(jobId: string): Promise<boolean>;
  whereabouts(emailId: string): Promise<Whereabouts>;
};

export type JobData = { readonly emails: readonly string[] };

export const deliverQueueNames = { transactional: 'deliver', bulk: 'deliver_bulk' } as const satisfies Record<
  Lane,
  QueueName
>;

/** Most jobs looked through for one answer. Only few wait in the queue: the rest stays in the store until there is room. */
const mostJobs = 500;

function openDeliverQueue(lane: Lane, { redis, prefix }: QueueConnection): DeliverQueue {
  const name = deliverQueueNames[lane];
  const queue = new Queue<JobData>(name, { connection: redis, prefix, ...queueSettings });
  queue.on('error', () => {}); // every call reports its own failure

  return {
    async add(jobs, timestamp) {
      const [only] = jobs;
      if (only === undefined) return;
      // One job takes 66 µs with addBulk and 36 µs with add.
      if (jobs.length === 1)
        await queue.add(name, { emails: only.emails }, { ...jobOptions, timestamp, jobId: only.id });
      else
        await queue.addBulk(
          jobs.map(({ id, emails }) => ({ name, data: { emails }, opts: { ...jobOptions, timestamp, jobId: id } })),
        );
    },
    waiting: () => queue.getJobCountByTypes('wait', 'prioritized', 'delayed'),
    async oldestAt() {
      const [waiting, active, delayed] = await Promise.all([
        queue.getJobs(['wait'], 0, 0, true),
        queue.getJobs(['active'], 0, 0, true),
        // Delayed jobs are sorted by when they come again, not by when they were added, so several are read.
        queue.getJobs(['delayed'], 0, mostJobs),
      ]);
      // A job that ended just now may be missing.
      const times = [...waiting, ...active, ...delayed].flatMap((job) => job?.timestamp ?? []);
      return times.length === 0 ? null : Math.min(...times);
    },
    isLive: async (jobId) => (await queue.getJobState(jobId)) !== 'unknown',
    async whereabouts(emailId) {
      const [active, waiting] = await Promise.all([
        queue.getJobs(['active'], 0, mostJobs),
        queue.getJobs(['wait', 'prioritized', 'delayed'], 0, mostJobs),
      ]);
      const has = (job: { data: JobData } | undefined) => job?.data.emails.includes(emailId);
      const count = waiting.reduce((sum, job) => sum + (job?.data.emails.length ?? 0), 0);
      return { job: active.some(has) ? 'active' : waiting.some(has) ? 'waiting' : 'absent', waiting: count };
    },
    [Symbol.asyncDispose]: () => queue.close(),
  };
}

/** The queue of each lane. */
export type DeliverQueues = Readonly<Record<Lane, DeliverQueue>>;

export function openDeliverQueues(connection: QueueConnection): DeliverQueues & AsyncDisposable {
  const transactional = openDeliverQueue('transactional', connection);
  const bulk = openDeliverQueue('bulk', connection);
  return {
    transactional,
    bulk,
    async [Symbol.asyncDispose]() {
      await transactional[Symbol.asyncDispose]();
      await bulk[Symbol.asyncDispose]();
    },
  };
}
