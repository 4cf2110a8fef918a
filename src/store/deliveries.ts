/** The log of deliveries: what was tried at an endpoint, packed small, since thousands are kept. */
import type { Redis } from 'ioredis';
import { type Delivery, type DeliveryStatus, deliveryId, isBatch, type Try } from '../domain/delivery.ts';
import type { EventType } from '../domain/event.ts';
import { batchId } from '../domain/webhook-request.ts';
import { keys } from './keys.ts';

export type Deliveries = ReturnType<typeof openDeliveries>;

/** A try is when, status, milliseconds and, where it failed, why; what goes without saying is left out. */
type Packed = {
  p: string;
  y: readonly EventType[];
  t: readonly (readonly [number, number, number, string?])[];
  /** The webhook-id, which a batch makes of its parcel. */
  w?: string;
  /** Attempts, and those of the present round, where they are not as many as `t` has tries. */
  n?: number;
  r?: number;
  again?: number;
  why?: string;
};

export function packDelivery(delivery: Delivery): string {
  const { parcel, types, tries, attempts, round, nextAt, reason } = delivery;
  const packed: Packed = {
    p: parcel,
    y: types,
    t: tries.map(({ at, status, ms, detail }) => (detail === null ? [at, status, ms] : [at, status, ms, detail])),
    ...(isBatch(parcel) ? {} : { w: delivery.webhookId }),
    ...(attempts === tries.length ? {} : { n: attempts }),
    ...(round === tries.length ? {} : { r: round }),
    ...(nextAt === null ? {} : { again: nextAt }),
    ...(reason === null ? {} : { why: reason }),
  };
  return JSON.stringify(packed);
}

export function unpackDelivery(json: string, status: DeliveryStatus): Delivery {
  const { p: parcel, y: types, t, w, n, r, again, why }: Packed = JSON.parse(json);
  const tries = t.map(([at, code, ms, detail]): Try => ({ at, status: code, ms, detail: detail ?? null }));
  return {
    ...{ id: deliveryId(parcel), parcel, webhookId: w ?? batchId(parcel), types, status, tries },
    attempts: n ?? tries.length,
    round: r ?? tries.length,
    nextAt: status === 'pending' ? (again ?? null) : null,
    reason: why ?? null,
  };
}

export function openDeliveries(redis: Redis) {
  return {
    /** What was tried of a parcel before; null when nothing was. */
    async of(webhookId: string, parcel: string): Promise<Delivery | null> {
      const json = await redis.hget(keys.deliveries(webhookId), deliveryId(parcel));
      return json === null ? null : unpackDelivery(json, 'pending');
    },
  };
}
