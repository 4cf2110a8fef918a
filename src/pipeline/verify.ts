/** verify: connects to a transport and logs in now. When that succeeds and its breaker is open, the workers probe it at once. */
import type { Verification } from '../domain/transport-report.ts';
import type { Plans } from '../outbound/plans.ts';
import type { Verify } from '../outbound/smtp-verify.ts';
import type { TransportStates } from '../store/transport-states.ts';

type Deps = {
  plans: Pick<Plans, 'plan'>;
  transportStates: Pick<TransportStates, 'hasten'>;
  tryOut: Verify;
  now(): number;
};

/** @returns null when the plan has no transport of that name */
export async function verify(deps: Deps, name: string): Promise<Verification | null> {
  const settings = deps.plans.plan.transports[name];
  if (settings === undefined) return null;
  const verification = await deps.tryOut(settings);
  // Only a worker's own probe closes the breaker: workers may not reach what this process reaches.
  if (verification.fault === null) await deps.transportStates.hasten(name, deps.now());
  return verification;
}
