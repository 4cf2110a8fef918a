/** whereabouts: where an email is on its way to a worker, and how many wait in its lane. */
import type { Whereabouts } from '../domain/explain.ts';
import type { Lane } from '../domain/lane.ts';
import type { DeliverQueue } from '../queue/deliver-queue.ts';
import type { Due } from '../store/due.ts';

type Deps = {
  due: Pick<Due, 'waiting'>;
  deliverQueues: Readonly<Record<Lane, Pick<DeliverQueue, 'whereabouts'>>>;
  now(): number;
};

export async function whereabouts(deps: Deps, id: string, lane: Lane): Promise<Whereabouts> {
  const [queued, stored] = await Promise.all([
    deps.deliverQueues[lane].whereabouts(id),
    deps.due.waiting(lane, deps.now()),
  ]);
  return { job: queued.job, waiting: queued.waiting + stored };
}
