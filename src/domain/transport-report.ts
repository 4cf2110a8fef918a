/** How a transport stands in the whole fleet at one moment, and what verifying it came to; as whoever operates it asks. Pure. */
import { bulkEvery, type Lane } from './lane.ts';
import type { Rate } from './rate.ts';
import { isInService } from './standing.ts';
import type { Fault, TransportState } from './transport-state.ts';

/** A rate with what is left of it; times in milliseconds since the epoch. */
export type RateLeft = Rate & {
  /** Of the window that ends now; null for a rate per second, which is a pace. */
  readonly remaining: number | null;
  /** When the next message may go; in the past where it might have gone before. */
  readonly nextAt: number;
  /** When all of it is there again, should nothing more be sent; null where it is now, and for a pace. */
  readonly resetAt: number | null;
};

export type TransportReport = {
  readonly name: string;
  /** `host:port` */
  readonly host: string;
  readonly state: TransportState;
  /** The share of its usual pace it has now, in (0, 1]. */
  readonly factor: number;
  /** Of all workers together; `connections` is how many they may have. */
  readonly pool: {
    readonly connections: number;
    readonly open: number;
    readonly busy: number;
    readonly waiting: number;
    /** Those of the busy ones whose server seems to answer nothing any more. */
    readonly hanging: number;
    readonly workers: number;
  };
  /** As configured, the shortest window first. */
  readonly limits: readonly Rate[];
  /** What holds now: the limits with its brake considered, and a pace where that leaves less than a connection. */
  readonly rates: readonly RateLeft[];
  readonly parked: Readonly<Record<Lane, number>>;
};

/** Whether nothing that is in hand anywhere is answered any more. */
export function isHangingPool({ busy, hanging }: { readonly busy: number; readonly hanging: number }): boolean {
  return busy > 0 && hanging === busy;
}

/** Whether mail of a route that has another transport goes over this one. */
export function isServing({ state, pool }: Pick<TransportReport, 'state' | 'pool'>): boolean {
  return isInService(state) && !isHangingPool(pool);
}

/** `fault` is null when the connection came about and the login was taken. */
export type Verification = { readonly ms: number; readonly tls: string | null; readonly fault: Fault | null };

/** About how many parked emails go before one that has `ahead` of its own lane before it. */
export function countBefore(lane: Lane, ahead: number, parked: TransportReport['parked']): number {
  if (lane === 'bulk') return Math.min(ahead + parked.transactional, bulkEvery * ahead + bulkEvery - 1);
  return ahead + Math.min(parked.bulk, Math.floor(ahead / (bulkEvery - 1)));
}

/** About when a parked email goes that has `before` others before it, milliseconds since the epoch; what is used of a window is taken to be spread evenly. */
export function goesAt(rates: readonly RateLeft[], before: number, now: number): number {
  const times = rates.map(({ count, windowMs, remaining, nextAt }) => {
    const waitsFor = remaining === null ? before : before - remaining;
    return waitsFor < 0 ? now : Math.max(now, nextAt) + waitsFor * (windowMs / count);
  });
  return Math.round(Math.max(now, ...times));
}
