/** Deliveries: what went out, or is to go out, in one POST to one endpoint, and how each try of it fared. */
import type { EventType } from './event.ts';
import { sortableCursor } from './event-feed.ts';
import { batchId } from './webhook-request.ts';

export const deliveryStatuses = ['pending', 'success', 'failed'] as const;

/** `pending` was tried and comes again. What was not tried yet is no delivery: it only waits. */
export type DeliveryStatus = (typeof deliveryStatuses)[number];

export type Try = {
  readonly at: number;
  /** 0 stands for no answer at all. */
  readonly status: number;
  readonly ms: number;
  readonly detail: string | null;
};

export type Delivery = {
  readonly id: string;
  /** The events in it, by their places in the outbox; see `placesIn`. */
  readonly parcel: string;
  /** What its POST is known by, the same at each try; null when its event was lost before it was tried. */
  readonly webhookId: string | null;
  /** The types of the events in it, each once. */
  readonly types: readonly EventType[];
  readonly status: DeliveryStatus;
  /** Oldest first; of very many the latest. */
  readonly tries: readonly Try[];
  readonly attempts: number;
  /** Those since it was emitted, or replayed last, which is what the schedule counts. */
  readonly round: number;
  /** When the first of those was due, milliseconds since the epoch; null where nothing is known of it, or it does not come again. */
  readonly roundSince: number | null;
  /** Milliseconds since the epoch; null when it does not come again. */
  readonly nextAt: number | null;
  /** Why it failed where no try says it. */
  readonly reason: string | null;
};

/**
 * A parcel is what one POST carries: a place in the outbox, or several with `batch:` before them. A batch is grouped when it is first taken
 * and stays as it is, so that its repeats are the same under the same id.
 */
export const batchMark = 'batch:';

export function placesIn(parcel: string): string[] {
  return isBatch(parcel) ? parcel.slice(batchMark.length).split(',') : [parcel];
}

export function isBatch(parcel: string): boolean {
  return parcel.startsWith(batchMark);
}

export function batchOf(places: readonly string[]): string {
  return `${batchMark}${places.join(',')}`;
}

/** What becomes of a batch of several that is too large: two of half its size. */
export function halvesOf(parcel: string): [string, string] {
  const places = placesIn(parcel);
  const middle = Math.ceil(places.length / 2);
  return [batchOf(places.slice(0, middle)), batchOf(places.slice(middle))];
}

export const splitReason = 'it was too large for its endpoint: its events went out in two of half the size';

const lostReason = 'its events are no longer stored: they were kept for as long as RETENTION_EVENTS and MAX_EVENTS say';

/** A parcel that was not tried before. */
export function newDelivery(parcel: string, webhookId: string | null, types: readonly EventType[]): Delivery {
  return {
    ...{ id: deliveryId(parcel), parcel, webhookId, types, status: 'pending' },
    ...{ tries: [], attempts: 0, round: 0, roundSince: null, nextAt: null, reason: null },
  };
}

/** A parcel whose events are past their retention. @param before what was tried of it */
export function lostDelivery(parcel: string, before: Delivery | null): Delivery {
  const known = before ?? newDelivery(parcel, isBatch(parcel) ? batchId(parcel) : null, []);
  return { ...known, status: 'failed', nextAt: null, reason: lostReason };
}

/** Made of the parcel, so that a delivery needs no other key. */
export function deliveryId(parcel: string): string {
  const [first = ''] = placesIn(parcel);
  const place = first.replace('-', '_');
  return isBatch(parcel) ? `dl_${place}_${batchId(parcel).slice('eb_'.length)}` : `dl_${place}`;
}

export const deliveryIdForm = /^dl_\d{1,19}_\d{1,19}(?:_[\w-]+)?$/;

/** Sorts as text where the first event of a delivery sorts in the feed: within one millisecond 10 comes after 9. @param id of `deliveryIdForm` */
export function deliveryOrder(id: string): string {
  const [, ms = '', sequence = '', ...batch] = id.split('_');
  return `${sortableCursor(`${ms}-${sequence}`)} ${batch.join('_')}`;
}
