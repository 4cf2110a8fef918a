/** probe-transport: logs in to a transport in trouble, and tells the fleet what came of it. */
import type { Delay, Transport, TransportFault } from '../outbound/transport.ts';
import type { Transports } from '../outbound/transports.ts';
import type { TransportStates } from '../store/transport-states.ts';

type Deps = {
  transports: Pick<Transports, 'get'>;
  states: Pick<TransportStates, 'fault' | 'success'>;
  isConnected(name: string): Promise<boolean>;
  /** Wakes the loop of maintain-transports: there is something for it to do. */
  wake(): void;
  report(probed: { transport: string; ms: number; fault: TransportFault | Delay | null }): void;
  onTrouble(part: 'probe', error: unknown, fields: { readonly transport: string }): void;
  newId(prefix: 'ev'): string;
  now(): number;
};

/** Never rejects. */
export async function probeTransport(deps: Deps, transport: Transport, stop: AbortSignal): Promise<void> {
  const { name } = transport;
  try {
    const startedAt = deps.now();
    const fault = await transport.probe();
    // A probe that ended because we close, or because the plan has a new transport of that name, says nothing about it.
    if (stop.aborted || deps.transports.get(name) !== transport) return;
    const event = { id: deps.newId('ev'), at: deps.now() };
    deps.report({ transport: name, ms: Math.max(0, event.at - startedAt), fault });
    await tellProbed(deps, name, fault, event);
    deps.wake();
  } catch (error) {
    if (!stop.aborted) deps.onTrouble('probe', error, { transport: name });
  }
}

async function tellProbed(
  deps: Deps,
  name: string,
  fault: TransportFault | Delay | null,
  event: { readonly id: string; readonly at: number },
): Promise<void> {
  if (fault === null) await deps.states.success(name, 'probe', event);
  else if (fault.kind === 'delayed') return;
  // The server holds to a number of connections, which the fleet has: mail goes over those.
  else if (fault.isCrowded && (await deps.isConnected(name))) await deps.states.success(name, 'message', event);
  else await deps.states.fault(name, { cause: fault.cause, reason: fault.detail }, event);
}
