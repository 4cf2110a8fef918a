/** learn: reads the state of a transport after this process changed it, so that its next step uses it. Others read it within a second. */
import type { TransportState } from '../domain/transport-state.ts';
import type { TransportStates } from '../store/transport-states.ts';

type Deps = {
  /** The fleet's states as this process knows them. */
  known: Map<string, TransportState>;
  states: Pick<TransportStates, 'read'>;
};

export async function learn({ states, known }: Deps, name: string): Promise<void> {
  for (const [read, state] of await states.read([name])) known.set(read, state);
}
