/**
 * check-back-pressure: measures how much mail waits in each lane and how full Redis is. Over a limit, or while Redis is unfit, new mail is
 * refused.
 */
import { type LimitPassed, type LoadLimits, limitPassed, type RedisMemory } from '../domain/back-pressure.ts';
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
  /** Called when mail of other lanes is refused than before; null when there is room for all of it again. */
  report(over: LimitPassed | null): void;
  now(): number;
};

/** The result of the last check: which mail is refused, and why; null while there is room. */
export type Pressure = { passed: LimitPassed | null };

export async function checkBackPressure({ pressure, ...deps }: Deps): Promise<void> {
  const [transactional, bulk] = await Promise.all([countWaiting(deps, 'transactional'), countWaiting(deps, 'bulk')]);
  const load = { waitingEmails: { transactional, bulk }, redisMemory: await deps.memory() };
  const unfit = deps.seenRedis.standing?.unfit ?? null;
  const over = unfit === null ? limitPassed(load, deps.limits) : { lanes, reason: unfit };
  if (over?.lanes.join() !== pressure.passed?.lanes.join()) deps.report(over);
  pressure.passed = over;
}

/** The few jobs in the queue count as one email each: what waits for long waits in the store. */
async function countWaiting(
  { due, deliverQueues, now }: Pick<Deps, 'due' | 'deliverQueues' | 'now'>,
  lane: Lane,
): Promise<number> {
  const [inStore, inQueue] = await Promise.all([due.waiting(lane, now()), deliverQueues[lane].waiting()]);
  return inStore + inQueue;
}
