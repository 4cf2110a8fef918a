/**
 * find-permits: which emails of a job were released with a permit. One that was not used holds up others, so it is void once its email was dealt
 * with.
 */
import { ratesOf } from '../domain/standing.ts';
import type { TransportState } from '../domain/transport-state.ts';
import type { Transports } from '../outbound/transports.ts';
import type { Budgets } from '../store/budgets.ts';

type Deps = {
  transports: Pick<Transports, 'plan'>;
  known: ReadonlyMap<string, TransportState>;
  budgets: Pick<Budgets, 'permits' | 'voidPermit'>;
  now(): number;
};

/**
 * Costs nothing while no transport has rates, and one look for a job.
 * @returns voids the permits that an email had at this look, if they are still there
 */
export async function findPermits(deps: Deps, ids: readonly string[]): Promise<(id: string) => Promise<void>> {
  const rates = (name: string) => ratesOf(deps.transports.plan, deps.known, name, deps.now());
  const rated = Object.keys(deps.transports.plan.transports).filter((name) => rates(name).length > 0);
  const permits = await deps.budgets.permits(rated, ids);
  return async (id) => {
    const own = permits.filter((permit) => permit.id === id);
    await Promise.all(own.map((permit) => deps.budgets.voidPermit(permit, rates(permit.transport), deps.now())));
  };
}
