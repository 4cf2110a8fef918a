/** The state of a transport in the whole fleet at one moment, and the result of verifying it, for an operator. Pure. */
import type { FaultCause } from './fault-cause.ts';
import { bulkEvery, type Lane } from './lane.ts';
import type { Rate } from './rate.ts';
import { isInService } from './standing.ts';
import type { TransportState } from './transport-state.ts';

/** A rate with what is left of it. Times are milliseconds since the epoch. */
export type RateLeft = Rate & {
  /** Messages left in the current window; null for a rate per second, which sets only a pace. */
  readonly remaining: number | null;
  /** When the next message may go; in the past when one could have gone before now. */
  readonly nextAt: number;
  /** When the whole count is available again, if nothing more is sent; null when it is now, and for a pace. */
  readonly resetAt: number | null;
};

export type TransportReport = {
  readonly name: string;
  /** `host:port` */
  readonly host: string;
  readonly state: TransportState;
  /** The share of its usual pace that the transport has now, in (0, 1]. */
  readonly factor: number;
  /** Of all workers together. `connections` is the limit. */
  readonly pool: {
    readonly connections: number;
    /** Connections that are opened at most while the server refuses more; null when it refuses none below the limit. */
    readonly granted: number | null;
    readonly open: number;
    readonly busy: number;
    readonly waiting: number;
    /** The busy connections whose server seems to have stopped answering. */
    readonly hanging: number;
    readonly workers: number;
  };
  /** The configured limits, the shortest window first. */
  readonly limits: readonly Rate[];
  /** The rates that hold now: the limits reduced by the brake, and a pace when less than one connection is left. */
  readonly rates: readonly RateLeft[];
  readonly parked: Readonly<Record<Lane, number>>;
};

/** Whether no message in hand anywhere gets an answer any more. */
export function isHangingPool({ busy, hanging }: { readonly busy: number; readonly hanging: number }): boolean {
  return busy > 0 && hanging === busy;
}

/** Whether mail of a route with several transports uses this one. */
export function isServing({ state, pool }: Pick<TransportReport, 'state' | 'pool'>): boolean {
  return isInService(state) && !isHangingPool(pool);
}

/**
 * `fault` is null when the connection and the login succeeded. Its cause is null when the server was reached and took no more connections:
 * that is no fault of the transport, and proves nothing of the login.
 */
export type Verification = {
  readonly ms: number;
  readonly tls: string | null;
  readonly fault: { readonly cause: FaultCause | null; readonly reason: string } | null;
};

/** The estimated number of parked emails that go before one with `ahead` emails of its own lane before it. */
export function countBefore(lane: Lane, ahead: number, parked: TransportReport['parked']): number {
  if (lane === 'bulk') return Math.min(ahead + parked.transactional, bulkEvery * ahead + bulkEvery - 1);
  return ahead + Math.min(parked.bulk, Math.floor(ahead / (bulkEvery - 1)));
}

/**
 * The estimated time when a parked email with `before` others before it goes, milliseconds since the epoch. It assumes that a window is used
 * evenly.
 */
export function goesAt(rates: readonly RateLeft[], before: number, now: number): number {
  const times = rates.map(({ count, windowMs, remaining, nextAt }) => {
    const waitsFor = remaining === null ? before : before - remaining;
    return waitsFor < 0 ? now : Math.max(now, nextAt) + waitsFor * (windowMs / count);
  });
  return Math.round(Math.max(now, ...times));
}
