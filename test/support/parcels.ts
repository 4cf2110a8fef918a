/** Parcels for tests of what waits to be posted: their places, and what a try of one came to. */
import type { Delivery } from '../../src/domain/delivery.ts';
import type { Posted } from '../../src/store/post-settle.ts';

export const now = 1_764_000_000_000;
export const leaseMs = 30_000;
export const longestWaitMs = 86_400_000;
export const place = (n: number) => `${now - 1_000}-${n}`;

export function settled(
  parcel: string,
  leaseEnd: number,
  more: Partial<Posted> & { status?: Delivery['status']; nextAt?: number },
): Posted {
  const { status = 'success', nextAt = null, ...rest } = more;
  const delivery: Delivery = {
    ...{ id: `dl_${parcel.replace('-', '_')}`, parcel, webhookId: 'ev_1', types: ['email.sent'], status, nextAt },
    ...{
      tries: [{ at: now, status: 200, ms: 1, detail: null }],
      attempts: 1,
      round: 1,
      roundSince: null,
      reason: null,
    },
  };
  return {
    delivery,
    leaseEnd,
    url: 'http://x.co/',
    batch: null,
    endpoint: 'up',
    halves: [],
    restUntil: 0,
    holdUntil: null,
    answer: null,
    ...rest,
  };
}
