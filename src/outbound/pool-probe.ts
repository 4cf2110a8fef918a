/** Tries a transport out without a message: opens a session and leaves it to the pool. One try at a time. */
import type { IdleSessions } from './idle-sessions.ts';
import type { LiveSessions } from './live-sessions.ts';
import type { Openings } from './openings.ts';
import type { PoolShares } from './pool-shares.ts';
import { transportFault } from './smtp-outcome.ts';
import type { Delay, TransportFault } from './transport.ts';

export type Probe = () => Promise<TransportFault | Delay | null>;

type Deps = {
  /** Of the transport. */
  readonly name: string;
  readonly live: Pick<LiveSessions, 'closed'>;
  readonly idle: Pick<IdleSessions, 'count' | 'close'>;
  readonly openings: Pick<Openings, 'begin'>;
  readonly shares: Pick<PoolShares, 'allowed'>;
  /** Connections as the server counts them. */
  connections(): number;
  isClosed(): boolean;
};

/** Opens a session in the place of an idle one where there is no other. It is one too many for a moment when all others are in use. */
export function makeProbe({ name, live, idle, openings, shares, connections, isClosed }: Deps): Probe {
  let probing: ReturnType<Probe> | null = null;
  const closedFault = () => transportFault(name, new Error('The transport is closed'), 'connect');
  const begin = () => (isClosed() ? closedFault() : openings.begin());

  async function probeAlone(): ReturnType<Probe> {
    if (connections() >= shares.allowed && idle.count > 0) await closeIdle();
    const fault = await begin();
    if (fault?.kind !== 'transport_fault' || !fault.isCrowded || idle.count === 0) return fault;
    // The server takes no more connections than there are, and one of them is idle.
    await closeIdle();
    return begin();
  }

  function closeIdle(): Promise<void> {
    idle.close(1);
    return live.closed();
  }

  return async () => {
    if (isClosed()) return closedFault();
    if (probing !== null) return probing;
    probing = probeAlone();
    try {
      return await probing;
    } finally {
      probing = null;
    }
  };
}
