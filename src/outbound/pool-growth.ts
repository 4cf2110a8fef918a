/** When a pool opens further connections, and what becomes of those who wait for one when an opening fails. */
import { makeAlarm } from '../concurrency/alarm.ts';
import { makeCrowding } from './crowding.ts';
import type { LiveSessions } from './live-sessions.ts';
import type { Openings } from './openings.ts';
import type { Hold, PoolLoad } from './pool-load.ts';
import type { PoolShares } from './pool-shares.ts';
import type { Delay, TransportFault } from './transport.ts';
import type { Waits } from './waits.ts';

export type Growth = {
  /** Openings that the server refused as one too many, since the pool was made. */
  readonly refusals: number;
  /** No connection works yet, and one is being opened. */
  readonly isFindingOut: boolean;
  /** Opens the sessions that waiting messages could use. No message waits while a connection could be opened, except after a failed opening. */
  grow(): void;
  opened(): void;
  failed(fault: TransportFault | Delay): void;
  off(): void;
};

type Deps = {
  readonly live: Pick<LiveSessions, 'count'>;
  readonly openings: Pick<Openings, 'count' | 'room' | 'isResting' | 'reopenAt' | 'begin'>;
  readonly waits: Pick<Waits<Hold | TransportFault>, 'countBulk' | 'countOf' | 'endAll'>;
  readonly load: Pick<PoolLoad, 'aliveAt'>;
  readonly shares: Pick<PoolShares, 'allowed' | 'bulkRoom'>;
  /** Connections as the server counts them. */
  connections(): number;
  /** Called when a failed opening may be tried again. */
  serve(): void;
  /** Milliseconds of a clock that never goes back. */
  now(): number;
};

/** @param limits `waitMs`: a server that is silent for as long as a message waits does not serve those who wait */
export function makeGrowth({ waitMs }: { readonly waitMs: number }, deps: Deps): Growth {
  const { live, openings, waits, load, shares, connections, serve, now } = deps;
  const crowding = makeCrowding();
  const again = makeAlarm(now, serveAgain);

  /** Whether it may help to wait for the present connections. A server that went silent leaves its connections open. */
  const isAlive = () => live.count > 0 && now() - load.aliveAt < waitMs;

  /** How many sessions waiting messages could use. */
  function wanted(): number {
    // One bulk message may leave less to transactional mail than another.
    const bulk = waits.countBulk(({ reserve }, before) => shares.bulkRoom(reserve) > before);
    return waits.countOf('transactional') + bulk;
  }

  function grow(): void {
    const most = Math.min(shares.allowed - connections(), openings.room);
    // Under load all are open: then it costs nothing that many wait.
    if (most <= 0) return;
    let more = Math.min(wanted() - openings.count, most);
    if (more > 0 && openings.isResting && (isAlive() || crowding.isOn)) {
      // Where none works, nothing else may come that would serve those who wait.
      if (!isAlive()) again.by(openings.reopenAt);
      return;
    }
    for (; more > 0; more -= 1) void openings.begin();
  }

  function serveAgain(): number {
    serve();
    return Number.POSITIVE_INFINITY;
  }

  /** Those who wait may go on waiting for connections that work: a server that allows fewer than we do is not down. */
  function mayWaitOn(fault: TransportFault | Delay): boolean {
    if (fault.kind === 'transport_fault' && fault.isCrowded) return crowding.refused(connections() === 0);
    crowding.over();
    return isAlive();
  }

  return {
    get refusals() {
      return crowding.refusals;
    },
    get isFindingOut() {
      return openings.count > 0 && !isAlive();
    },
    grow,
    opened: crowding.over,
    failed(fault) {
      if (mayWaitOn(fault)) return;
      if (fault.kind === 'delayed') waits.endAll(null);
      else waits.endAll(fault, { ...fault, isShared: true });
    },
    off: again.off,
  };
}
