/** tell-fleet: tells all workers what an attempt says about its transport: a fault, a reply that asks to slow down, or a success. */
import type { Outcome } from '../domain/outcome.ts';
import { freshState, verdictOf } from '../domain/standing.ts';
import type { TransportState } from '../domain/transport-state.ts';
import type { Transports } from '../outbound/transports.ts';
import type { TransportStates } from '../store/transport-states.ts';
import type { Admitted } from './admit.ts';

type Deps = {
  transports: Pick<Transports, 'plan' | 'get'>;
  known: ReadonlyMap<string, TransportState>;
  states: Pick<TransportStates, 'fault' | 'success' | 'brake'>;
  isConnected(name: string): Promise<boolean>;
  learn(name: string): Promise<void>;
  /** Wakes the loop of maintain-transports: there is something for it to do. */
  wake(): void;
  newId(prefix: 'ev'): string;
  now(): number;
};

/** A success on a transport without faults is no news and needs no Redis command. */
export async function tellFleet(deps: Deps, { transport, as }: Admitted, outcome: Outcome): Promise<void> {
  const { name } = transport;
  // A built-in transport, such as the sandbox, has no stored state.
  const settings = deps.transports.plan.transports[name];
  if (settings === undefined) return;
  const { breaker } = deps.known.get(name) ?? freshState;
  const verdict = verdictOf(outcome);
  const event = () => ({ id: deps.newId('ev'), at: deps.now() });
  switch (verdict.kind) {
    case 'fault':
      if (verdict.isCrowded && (await deps.isConnected(name))) break;
      await deps.states.fault(name, verdict, event());
      break;
    case 'slow_down':
      // A transport that was replaced meanwhile may have had another server.
      if (deps.transports.get(name) !== transport) return;
      await deps.states.brake(name, settings, deps.now(), transport.pool.acceptedMs ?? undefined);
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
