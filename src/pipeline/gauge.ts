/** gauge: how much waits and how full Redis is; over a line, new mail is refused before it is read. */
import { type Lines, overLine, type RedisMemory } from '../domain/back-pressure.ts';
import type { Lane } from '../domain/lane.ts';
import type { JobQueue } from '../queue/jobs.ts';
import type { Emails } from '../store/emails.ts';

type Deps = {
  emails: Pick<Emails, 'waiting'>;
  deliverQueues: Readonly<Record<Lane, Pick<JobQueue, 'waiting'>>>;
  memory(): Promise<RedisMemory>;
  lines: Lines;
  /** Written with every reading, for whoever refuses. */
  pressure: Pressure;
  /** Told when a line is crossed and, with null, when there is room again. */
  report(reason: string | null): void;
  now(): number;
};

/** What was gauged last; null while there is room. */
export type Pressure = { overLine: string | null };

export async function gauge({ pressure, ...deps }: Deps): Promise<void> {
  const { transactional, bulk } = deps.deliverQueues;
  const waiting = await Promise.all([deps.emails.waiting(deps.now()), transactional.waiting(), bulk.waiting()]);
  const waitingEmails = waiting.reduce((sum, count) => sum + count, 0);
  const reason = overLine({ waitingEmails, redisMemory: await deps.memory() }, deps.lines);
  if ((reason === null) !== (pressure.overLine === null)) deps.report(reason);
  pressure.overLine = reason;
}
