/** collect-levels: how much waits and for how long, and how transports stand in the whole fleet, for whoever watches. */
import { type Lane, lanes } from '../domain/lane.ts';
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
  /** For which a feeder takes what is due. */
  leaseMs: number;
  onTrouble(part: 'measure', error: unknown): void;
  now(): number;
};

/** Prometheus gives up after 10 s, and keeps nothing then of what this process knows by itself. */
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
    ...lanes.map((lane) => inQueue(deps, lane)),
  ]);
  const queued = { transactional, bulk };
  const transports = names.map((name, index) => {
    const { breaker, paused } = states.get(name) ?? freshState;
    const parked = stored.parked[index] ?? { transactional: 0, bulk: 0 };
    return { name, isOpen: breaker.kind === 'open', isPaused: paused !== null, parked };
  });
  const ofLane = (lane: Lane) => levelOf(stored.lanes[lane], queued[lane], now);
  return {
    lanes: { transactional: ofLane('transactional'), bulk: ofLane('bulk') },
    transports,
    unnotified: stored.unnotified,
    memoryBytes: memory.used,
    webhooks: levelOf(stored.posts, undefined, now),
  };
}

async function inQueue({ deliverQueues }: Deps, lane: Lane): Promise<Backlog> {
  const [waiting, oldestAt] = await Promise.all([deliverQueues[lane].waiting(), deliverQueues[lane].oldestAt()]);
  return { waiting, oldestAt };
}

function levelOf(stored: Backlog, queued: Backlog | undefined, now: number): Level {
  const since = Math.min(stored.oldestAt ?? now, queued?.oldestAt ?? now);
  return { waiting: stored.waiting + (queued?.waiting ?? 0), oldestMs: Math.max(0, now - since) };
}
