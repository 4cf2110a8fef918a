/** pause and resume: stop and restart a transport for the whole fleet. Workers follow within a second. */
import type { Plans } from '../outbound/plans.ts';
import type { TransportStates } from '../store/transport-states.ts';

type Deps = {
  plans: Pick<Plans, 'plan'>;
  transportStates: Pick<TransportStates, 'read' | 'pause' | 'resume'>;
  now(): number;
};

/**
 * A transport that is paused already keeps the id of the key that paused it first.
 * @param by the id of the key that asks
 * @returns false when the plan has no transport of that name
 */
export async function pause(deps: Deps, name: string, by: string): Promise<boolean> {
  if (deps.plans.plan.transports[name] === undefined) return false;
  await deps.transportStates.pause(name, by, deps.now());
  return true;
}

/** @returns as `pause` */
export async function resume(deps: Deps, name: string): Promise<boolean> {
  if (deps.plans.plan.transports[name] === undefined) return false;
  await deps.transportStates.resume(name);
  return true;
}
