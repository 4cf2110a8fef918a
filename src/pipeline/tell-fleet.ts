/** tell-fleet: what an attempt says of its transport is told to all workers: a fault, that it is to go slower, or that it is well. */
import type { Outcome } from '../domain/outcome.ts';
import { freshState, verdictOf } from '../domain/standing.ts';
import type { TransportState } from '../domain/transport-state.ts';
import type { Transports } from '../outbound/transports.ts';
import type { TransportStates } from '../store/transport-states.ts';
import type { Admitted } from './admit.ts';

type Deps = {
  transports: Pick<Transports, 'plan'>;
  known: ReadonlyMap<string, TransportState>;
  states: Pick<TransportStates, 'fault' | 'success' | 'brake'>;
  isConnected(name: string): Promise<boolean>;
  learn(name: string): Promise<void>;
  /** Tells `tend` that there is something for it to do. */
  wake(): void;
  newId(prefix: 'ev'): string;
  now(): number;
};

/** A message that goes well where nothing was wrong is no news, and costs Redis nothing. */
export async function tellFleet(deps: Deps, { transport: { name }, as }: Admitted, outcome: Outcome): Promise<void> {
  // A transport that is always there, as the sandbox is, has no state.
  if (deps.transports.plan.transports[name] === undefined) return;
  const { breaker } = deps.known.get(name) ?? freshState;
  const verdict = verdictOf(outcome);
  const event = () => ({ id: deps.newId('ev'), at: deps.now() });
  switch (verdict.kind) {
    case 'fault':
      if (verdict.isCrowded && (await deps.isConnected(name))) break;
      await deps.states.fault(name, verdict, event());
      break;
    case 'slow_down':
      await deps.states.brake(name, deps.now());
      break;
    case 'success':
      if (as === 'message' && breaker.kind === 'closed' && breaker.faults === 0) return;
      await deps.states.success(name, as, event());
      break;
    case 'nothing':
      return;
  }
  await deps.learn(name);
  deps.wake();
}
