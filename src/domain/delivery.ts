/** Deliveries: what was or will be sent in one POST to one endpoint, and the result of each try. */
import type { EventType } from './event.ts';
import { sortableCursor } from './event-feed.ts';
import { batchId } from './webhook-request.ts';

export const deliveryStatuses = ['pending', 'success', 'failed'] as const;

/** `pending`: tried, and will be tried again. A parcel that was never tried is no delivery yet. */
export type DeliveryStatus = (typeof deliveryStatuses)[number];

export type Try = {
  readonly at: number;
  /** 0 means no answer at all. */
  readonly status: number;
  readonly ms: number;
  readonly detail: string | null;
};

export type Delivery = {
  readonly id: string;
  /** Its events, by their places in the outbox; see `placesIn`. */
  readonly parcel: string;
  /** The `webhook-id` of its POST, the same at each try; null when its event was lost before the first try. */
  readonly webhookId: string | null;
  /** The types of its events, each once. */
  readonly types: readonly EventType[];
  readonly status: DeliveryStatus;
  /** Oldest first. When there are very many, only the latest are kept. */
  readonly tries: readonly Try[];
  readonly attempts: number;
  /** Tries since the event was emitted or last replayed: the schedule counts these. */
  readonly scheduleTries: number;
  /** When the first of these tries was due, milliseconds since the epoch; null when that is unknown, or it is not tried again. */
  readonly scheduleSince: number | null;
  /** Milliseconds since the epoch; null when it is not tried again. */
  readonly nextAt: number | null;
  /** Why it failed, when no try says it. */
  readonly reason: string | null;
};

/**
 * A parcel is what one POST carries: a place in the outbox, or several with `batch:` before them. A batch is grouped when it is first taken and
 * never changes, so that each repeat is the same under the same id.
 */
export const batchMark = 'batch:';

export function placesIn(parcel: string): string[] {
  return isBatch(parcel) ? parcel.slice(batchMark.length).split(',') : [parcel];
}

export function isBatch(parcel: string): boolean {
  return parcel.startsWith(batchMark);
}

function batchOf(places: readonly string[]): string {
  return `${batchMark}${places.join(',')}`;
}

/** Splits a batch that is too large into two of half its size. */
export function halvesOf(parcel: string): [string, string] {
  const places = placesIn(parcel);
  const middle = Math.ceil(places.length / 2);
  return [batchOf(places.slice(0, middle)), batchOf(places.slice(middle))];
}

export const splitReason = 'it was too large for its endpoint: its events went out in two of half the size';

const lostReason = 'its events are no longer stored: they were kept for as long as RETENTION_EVENTS and MAX_EVENTS say';

/** The delivery of a parcel that was never tried. */
export function newDelivery(parcel: string, webhookId: string | null, types: readonly EventType[]): Delivery {
  return {
    id: deliveryId(parcel),
    parcel,
    webhookId,
    types,
    status: 'pending',
    tries: [],
    attempts: 0,
    scheduleTries: 0,
    scheduleSince: null,
    nextAt: null,
    reason: null,
  };
}

/**
 * The delivery of a parcel whose events are past their retention.
 * @param before its delivery until now
 */
export function lostDelivery(parcel: string, before: Delivery | null): Delivery {
  const known = before ?? newDelivery(parcel, isBatch(parcel) ? batchId(parcel) : null, []);
  return { ...known, status: 'failed', nextAt: null, reason: lostReason };
}

/** Derived from the parcel, so that a delivery needs no other key. */
export function deliveryId(parcel: string): string {
  const [first = ''] = placesIn(parcel);
  const place = first.replace('-', '_');
  return isBatch(parcel) ? `dl_${place}_${batchId(parcel).slice('eb_'.length)}` : `dl_${place}`;
}

export const deliveryIdForm = /^dl_\d{1,19}_\d{1,19}(?:_[\w-]+)?$/;

/**
 * A text that sorts as the first event of the delivery sorts in the feed: within one millisecond 10 comes after 9.
 * @param id of `deliveryIdForm`
 */
export function deliveryOrder(id: string): string {
  const [, ms = '', sequence = '', ...batch] = id.split('_');
  return `${sortableCursor(`${ms}-${sequence}`)} ${batch.join('_')}`;
}
