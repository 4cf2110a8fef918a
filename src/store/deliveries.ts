/** The log of deliveries: the tries at an endpoint, packed small, because thousands are kept. */
import type { Redis } from 'ioredis';
import { type Member, makeGroup } from '../concurrency/group.ts';
import {
  type Delivery,
  type DeliveryStatus,
  deliveryId,
  deliveryOrder,
  deliveryStatuses,
  isBatch,
  placesIn,
  type Try,
} from '../domain/delivery.ts';
import type { EventType } from '../domain/event.ts';
import { batchId } from '../domain/webhook-request.ts';
import { keys } from './keys.ts';
import { named } from './named.ts';
import { script } from './redis.ts';

export type Deliveries = ReturnType<typeof openDeliveries>;

/** A try has its time, status, milliseconds and, when it failed, the reason; usual values are left out. */
type Packed = {
  p: string;
  y: readonly EventType[];
  t: readonly (readonly [number, number, number, string?])[];
  /** The webhook-id, which a batch makes of its parcel; empty when it is unknown. */
  w?: string;
  /** Attempts, and those of the present schedule, when they differ from the number of tries in `t`. */
  n?: number;
  r?: number;
  again?: number;
  /** When the first try of the present schedule was due. */
  b?: number;
  why?: string;
};

export function packDelivery(delivery: Delivery): string {
  const { parcel, types, tries, attempts, scheduleTries, scheduleSince, nextAt, reason } = delivery;
  const packed: Packed = {
    p: parcel,
    y: types,
    t: tries.map(({ at, status, ms, detail }) => (detail === null ? [at, status, ms] : [at, status, ms, detail])),
    ...(isBatch(parcel) ? {} : { w: delivery.webhookId ?? '' }),
    ...(attempts === tries.length ? {} : { n: attempts }),
    ...(scheduleTries === tries.length ? {} : { r: scheduleTries }),
    ...(nextAt === null ? {} : { again: nextAt }),
    ...(nextAt === null || scheduleSince === null ? {} : { b: scheduleSince }),
    ...(reason === null ? {} : { why: reason }),
  };
  return JSON.stringify(packed);
}

/** Replaces the brace at the end of a record to give it this reason: the last member of a name counts. */
export function packReason({ reason }: Pick<Delivery, 'reason'>): string {
  return `,"why":${JSON.stringify(reason)}}`;
}

/** The same for a delivery whose schedule starts again now: `begun` in `post-lua.ts` finds it at the end of a record. */
export function packedBeginning(now: number): string {
  return `,"r":0,"again":${Math.floor(now)}}`;
}

export function unpackDelivery(json: string, status: DeliveryStatus): Delivery {
  const { p: parcel, y: types, t, w, n, r, again, b, why }: Packed = JSON.parse(json);
  const tries = t.map(([at, code, ms, detail]): Try => ({ at, status: code, ms, detail: detail ?? null }));
  return {
    id: deliveryId(parcel),
    parcel,
    webhookId: (w ?? batchId(parcel)) || null,
    types,
    status,
    tries,
    attempts: n ?? tries.length,
    scheduleTries: r ?? tries.length,
    scheduleSince: b ?? null,
    nextAt: status === 'pending' ? (again ?? null) : null,
    reason: why ?? null,
  };
}

type DeliveryQuery = {
  readonly status?: DeliveryStatus | undefined;
  readonly eventType?: EventType | undefined;
  /** An event by its id and, where it is still stored, its place, by which it is found in batches. */
  readonly event?: { readonly id: string; readonly place: string | null } | undefined;
  readonly limit: number;
  readonly after?: string | undefined;
  readonly before?: string | undefined;
};

type Entry = { readonly id: string; readonly order: string; readonly status: DeliveryStatus };

/** Most deliveries listed of each status. The store keeps fewer, except pending ones of an endpoint that fails now and then. */
const mostListed = 2_000;
/** Records read in one round trip. */
const chunkSize = 100;

type RecordMember = Member & { readonly webhookId: string; readonly id: string };

const recordKeys = named('deliveries', ...deliveryStatuses);

/**
 * For each delivery KEYS `recordKeys`; ARGV its id. Answers for each its record and its status, by its number from 1; '' for one that there is not.
 * The record says when the next try was planned. The status says whether there is one: it may have been cut short since.
 */
const recordsScript = script(
  `
local answer = {}
for i, id in ipairs(ARGV) do
  local first = ${recordKeys.count} * (i - 1)
  local record, status = redis.call('HGET', KEYS[first + 1], id) or '', ''
  for n = 1, record == '' and 0 or ${deliveryStatuses.length} do
    if redis.call('ZSCORE', KEYS[first + 1 + n], id) then status = n end
  end
  answer[2 * i - 1], answer[2 * i] = record, status
end
return answer`,
  'at_once',
);

type FoundRecord = { readonly json: string; readonly status: DeliveryStatus | undefined };

async function readRecords(redis: Redis, members: readonly RecordMember[]): Promise<FoundRecord[]> {
  const names = members.flatMap(({ webhookId }) =>
    recordKeys.inOrder({
      deliveries: keys.deliveries(webhookId),
      pending: keys.deliveriesBy(webhookId, 'pending'),
      success: keys.deliveriesBy(webhookId, 'success'),
      failed: keys.deliveriesBy(webhookId, 'failed'),
    }),
  );
  const ids = members.map(({ id }) => id);
  const read = (await recordsScript(redis, names, ids)) as (string | number)[];
  return ids.map((_, n) => ({ json: String(read[2 * n]), status: deliveryStatuses[Number(read[2 * n + 1]) - 1] }));
}

export function openDeliveries(redis: Redis) {
  const readInGroup = makeGroup((members: readonly RecordMember[]) => readRecords(redis, members));

  /** Newest first. */
  async function entries(webhookId: string, statuses: readonly DeliveryStatus[]): Promise<Entry[]> {
    const found = await Promise.all(
      statuses.map((status) => redis.zrevrange(keys.deliveriesBy(webhookId, status), 0, mostListed - 1)),
    );
    const all = found.flatMap((ids, index) =>
      ids.map((id) => ({ id, order: deliveryOrder(id), status: statuses[index] ?? 'failed' })),
    );
    return all.sort((a, b) => (a.order < b.order ? 1 : -1));
  }

  async function read(webhookId: string, wanted: readonly Entry[]): Promise<Delivery[]> {
    if (wanted.length === 0) return [];
    const records = await redis.hmget(keys.deliveries(webhookId), ...wanted.map(({ id }) => id));
    // A delivery may be trimmed between the two reads.
    return wanted.flatMap(({ status }, index) => (records[index] ? [unpackDelivery(records[index], status)] : []));
  }

  async function get(webhookId: string, id: string): Promise<Delivery | null> {
    const { json, status } = await readInGroup({ webhookId, id, claim: null, bytes: id.length });
    return status === undefined ? null : unpackDelivery(json, status);
  }

  return {
    get,

    /** The earlier tries of a parcel; null when there was none. */
    of: (webhookId: string, parcel: string): Promise<Delivery | null> => get(webhookId, deliveryId(parcel)),

    /** The answer to each try, by its number from 1; null when it is not kept. */
    async answers(webhookId: string, { id, attempts }: Delivery): Promise<(string | null)[]> {
      const names = Array.from({ length: attempts }, (_, n) => `${id}.${n + 1}`);
      return names.length === 0 ? [] : redis.hmget(keys.answers(webhookId), ...names);
    },

    /** A page, newest first; `hasMore` looks onwards in the direction of the request. */
    async page(webhookId: string, query: DeliveryQuery): Promise<{ page: Delivery[]; hasMore: boolean }> {
      const { status, after, before, limit } = query;
      const all = await entries(webhookId, status === undefined ? deliveryStatuses : [status]);
      const isUpwards = after === undefined && before !== undefined;
      const onwards = isUpwards
        ? all.filter(({ order }) => order > deliveryOrder(before)).reverse()
        : all.filter(({ order }) => after === undefined || order < deliveryOrder(after));
      const found: Delivery[] = [];
      for (let from = 0; from < onwards.length && found.length <= limit; from += chunkSize)
        found.push(...(await read(webhookId, onwards.slice(from, from + chunkSize))).filter(fits.bind(null, query)));
      const page = found.slice(0, limit);
      return { page: isUpwards ? page.reverse() : page, hasMore: found.length > limit };
    },
  };
}

function fits({ eventType, event }: DeliveryQuery, { types, webhookId, parcel }: Delivery): boolean {
  if (eventType !== undefined && !types.includes(eventType)) return false;
  if (event === undefined) return true;
  return webhookId === event.id || (event.place !== null && placesIn(parcel).includes(event.place));
}
