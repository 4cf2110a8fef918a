/** check-back-pressure: measures how much mail waits and how full Redis is. Over a limit, new mail is refused before it is read. */
import { type LoadLimits, limitPassed, type RedisMemory } from '../domain/back-pressure.ts';
import { type Lane, lanes } from '../domain/lane.ts';
import type { DeliverQueue } from '../queue/deliver-queue.ts';
import type { Due } from '../store/due.ts';
import type { SeenRedis } from './check-redis.ts';

type Deps = {
  due: Pick<Due, 'waiting'>;
  deliverQueues: Readonly<Record<Lane, Pick<DeliverQueue, 'waiting'>>>;
  memory(): Promise<RedisMemory>;
  limits: LoadLimits;
  /** What is known of Redis: while it is unfit, mail is refused. */
  seenRedis: Readonly<SeenRedis>;
  /** Written at each check, read by the routes that refuse mail. */
  pressure: Pressure;
  /** Called when a limit is crossed and, with null, when there is room again. */
  report(reason: string | null): void;
  now(): number;
};

/** The result of the last check: why mail is refused; null while there is room. */
export type Pressure = { reason: string | null };

export async function checkBackPressure({ pressure, ...deps }: Deps): Promise<void> {
  const now = deps.now();
  // The few jobs in the queue count as one email each: what waits for long waits in the store.
  const counts = lanes.flatMap((lane) => [deps.due.waiting(lane, now), deps.deliverQueues[lane].waiting()]);
  const waitingEmails = (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
  const load = { waitingEmails, redisMemory: await deps.memory() };
  const reason = deps.seenRedis.standing?.unfit ?? limitPassed(load, deps.limits);
  if ((reason === null) !== (pressure.reason === null)) deps.report(reason);
  pressure.reason = reason;
}
