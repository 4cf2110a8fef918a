/** collect-levels: reads for the metrics how much waits and for how long, and the state of transports in the whole fleet. */
import type { Lane } from '../domain/lane.ts';
import type { Level, Levels } from '../domain/levels.ts';
import { freshState } from '../domain/standing.ts';
import type { Plans } from '../outbound/plans.ts';
import type { DeliverQueue } from '../queue/deliver-queue.ts';
import type { Backlog, StoredLevels } from '../store/levels.ts';
import type { TransportStates } from '../store/transport-states.ts';

type Deps = {
  levels: Pick<StoredLevels, 'read'>;
  deliverQueues: Readonly<Record<Lane, Pick<DeliverQueue, 'waiting' | 'oldestAt'>>>;
  transportStates: Pick<TransportStates, 'read'>;
  plans: Pick<Plans, 'plan'>;
  memory(): Promise<{ readonly used: number }>;
  /** Lease under which a feeder takes due emails. */
  leaseMs: number;
  onTrouble(part: 'measure', error: unknown): void;
  now(): number;
};

/** Prometheus gives up after 10 s. It would then also lose the metrics that need no Redis. */
const deadlineMs = 2_000;

/** Null when Redis does not answer in time. */
export async function collectLevels(deps: Deps): Promise<Levels | null> {
  const { promise: overdue, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`Redis did not answer within ${deadlineMs} ms`)), deadlineMs);
  try {
    return await Promise.race([read(deps), overdue]);
  } catch (error) {
    deps.onTrouble('measure', error);
    return null;
  } finally {
    clearTimeout(timer);
  }
}

async function read(deps: Deps): Promise<Levels> {
  const now = deps.now();
  const names = Object.keys(deps.plans.plan.transports);
  const [stored, states, memory, transactional, bulk] = await Promise.all([
    deps.levels.read(names, deps.leaseMs, now),
    deps.transportStates.read(names),
    deps.memory(),
    inQueue(deps, 'transactional'),
    inQueue(deps, 'bulk'),
  ]);
  const transports = names.map((name, index) => {
    const { breaker, paused } = states.get(name) ?? freshState;
    const parked = stored.parked[index] ?? { transactional: 0, bulk: 0 };
    return { name, isOpen: breaker.kind === 'open', isPaused: paused !== null, parked };
  });
  return {
    lanes: {
      transactional: levelOf(now, stored.lanes.transactional, transactional),
      bulk: levelOf(now, stored.lanes.bulk, bulk, stored.campaigns),
    },
    transports,
    unnotified: stored.unnotified,
    memoryBytes: memory.used,
    webhooks: levelOf(now, stored.posts),
  };
}

async function inQueue({ deliverQueues }: Deps, lane: Lane): Promise<Backlog> {
  const [waiting, oldestAt] = await Promise.all([deliverQueues[lane].waiting(), deliverQueues[lane].oldestAt()]);
  return { waiting, oldestAt };
}

function levelOf(now: number, ...backlogs: readonly Backlog[]): Level {
  const since = Math.min(now, ...backlogs.map(({ oldestAt }) => oldestAt ?? now));
  return { waiting: backlogs.reduce((sum, { waiting }) => sum + waiting, 0), oldestMs: now - since };
}
