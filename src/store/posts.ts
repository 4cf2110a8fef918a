/** The posts that wait, by endpoint. They are taken under a lease, so that posts of a worker that died come again. */
import type { Redis } from 'ioredis';
import { deliveryId, lostDelivery, placesIn } from '../domain/delivery.ts';
import { compareCursors, sortableCursor } from '../domain/event-feed.ts';
import type { Webhook } from '../domain/webhook.ts';
import type { CreationMark } from './creations.ts';
import { packDelivery, packedBeginning, packReason } from './deliveries.ts';
import { keys } from './keys.ts';
import { outboxGroup } from './outbox.ts';
import { postKeysOf } from './post-keys.ts';
import {
  againArguments,
  againKeys,
  againScript,
  dropArguments,
  dropKeys,
  dropLostArguments,
  dropLostKeys,
  dropLostScript,
  dropScript,
  handArguments,
  handKeys,
  handScript,
  lostArguments,
  parcelArguments,
  renewScript,
} from './post-scripts.ts';
import { keptDeliveries, openSettle } from './post-settle.ts';
import { type TakenPosts, type TakeTerms, take } from './post-take.ts';

export type Posts = ReturnType<typeof openPosts>;

/** An event of the outbox and the endpoints that want it. */
type Handed = { readonly place: string; readonly webhookIds: readonly string[] };

/** How many parcels were dropped, and how many deliveries without a try were stored. */
type DroppedPosts = { readonly parcels: number; readonly untried: number };

/** Most additions of one script, which then blocks Redis for a few milliseconds. */
const maxAdditions = 5_000;
const maxAgain = 1_000;
/** Deliveries of a disabled endpoint that are forgotten in one step. */
const maxDropped = 1_000;
/** Parcels that are looked at in one step: a batch is one of up to 10 KB. */
const maxLost = 500;

export function openPosts(redis: Redis) {
  return {
    /** Acknowledges events and adds each to the waiting posts of its endpoints, in one step: so no event is added twice. */
    async hand(events: readonly Handed[], now: number): Promise<void> {
      const ids = [...new Set(events.flatMap(({ webhookIds }) => webhookIds))];
      const numbers = new Map(ids.map((id, index) => [id, index + 1]));
      const shared = handKeys.inOrder({ outbox: keys.outbox, webhooks: keys.webhooks, postsDue: keys.postsDue });
      const names = [...shared, ...ids.map(keys.posts)];
      let before = 0;
      for (const chunk of chunksOf(events)) {
        const terms = handArguments.inOrder({ group: outboxGroup, now, before, endpoints: ids.length });
        const args = chunk.flatMap(({ place, webhookIds }) => [
          place,
          webhookIds.map((id) => `${numbers.get(id)},`).join(''),
        ]);
        await handScript(redis, names, [...terms, ...ids, ...args]);
        before += chunk.length;
      }
    },

    /**
     * Endpoints that something is due for, the longest due first, and when the next is (null for never). What lies further ahead than the
     * longest wait is due as well.
     */
    async due(now: number, limit: number, longestWaitMs: number): Promise<{ ids: string[]; nextAt: number | null }> {
      const [due, far, next] = await Promise.all([
        redis.zrangebyscore(keys.postsDue, '-inf', now, 'LIMIT', 0, limit),
        redis.zrangebyscore(keys.postsDue, `(${now + longestWaitMs}`, '+inf', 'LIMIT', 0, limit),
        redis.zrangebyscore(keys.postsDue, `(${now}`, '+inf', 'WITHSCORES', 'LIMIT', 0, 1),
      ]);
      const [, nextAt] = next.flat();
      return { ids: [...due, ...far].slice(0, limit), nextAt: nextAt === undefined ? null : Number(nextAt) };
    },

    take: (webhook: Pick<Webhook, 'id' | 'batch'>, terms: TakeTerms): Promise<TakenPosts> =>
      take(redis, webhook, terms),

    settle: openSettle(redis),

    /**
     * Makes parcels due now, each with a new schedule: parcels that wait, parcels that ended, and parcels in hand whose try then fails.
     * @param parcels in the order of their places
     * @param mark under which no parcel goes out a second time: all up to the place of the last one count as done
     */
    async again(id: string, parcels: readonly string[], now: number, mark: CreationMark | null = null): Promise<void> {
      const names = againKeys.inOrder({ ...postKeysOf(id), claim: mark?.key ?? keys.deliveries(id) });
      const terms = againArguments.inOrder({ id, now, beginning: packedBeginning(now), claimBegun: mark?.begun ?? '' });
      for (let from = 0; from < parcels.length; from += maxAgain) {
        const args = parcels.slice(from, from + maxAgain).flatMap((parcel) => {
          const step = sortableCursor(placesIn(parcel)[0] ?? parcel);
          return parcelArguments.inOrder({ parcel, delivery: deliveryId(parcel), step });
        });
        await againScript(redis, names, [...terms, ...args]);
      }
    },

    /** Drops the waiting posts and the health of an endpoint that is disabled or gone; does nothing when it was enabled meanwhile. */
    async drop(id: string): Promise<void> {
      const names = dropKeys.inOrder(postKeysOf(id));
      const args = dropArguments.inOrder({ id, kept: keptDeliveries, most: maxDropped });
      while ((await dropScript(redis, names, args)) === 1);
    },

    /**
     * Drops waiting parcels whose events are no longer stored, and stores them as failed deliveries; some at a time, the longest waiting first.
     * Parcels in hand are left to the worker that posts them.
     * @param maxUntried most deliveries without a try to store: thousands of them would push all others out of the log
     */
    async dropLost(id: string, now: number, maxUntried: number): Promise<DroppedPosts> {
      const [trimmed, waiting] = await Promise.all([
        redis.get(keys.outboxTrimmed),
        redis.zrange(keys.posts(id), '0', String(maxLost - 1)),
      ]);
      const isLost = (place: string) => trimmed !== null && compareCursors(place, trimmed) <= 0;
      const lost = waiting
        .filter((parcel) => placesIn(parcel).every(isLost))
        .map((parcel) => lostDelivery(parcel, null));
      const [first] = lost;
      if (first === undefined) return { parcels: 0, untried: 0 };
      const names = dropLostKeys.inOrder(postKeysOf(id));
      const ending = packReason(first);
      const terms = dropLostArguments.inOrder({ id, now, kept: keptDeliveries, mostUntried: maxUntried, ending });
      const args = lost.flatMap((one) =>
        lostArguments.inOrder({ parcel: one.parcel, delivery: one.id, record: packDelivery(one) }),
      );
      const dropped = await dropLostScript(redis, names, [...terms, ...args]);
      const [parcels = 0, untried = 0] = dropped as number[];
      return { parcels, untried };
    },

    /** Resets the health of an endpoint that was moved, so that it gets its waiting posts at once. */
    async renew(id: string, now: number): Promise<void> {
      await renewScript(redis, [keys.health(id), keys.postsDue, keys.batchLimit(id)], [id, now]);
    },

    /** Forgets that batches were too large for an endpoint. */
    async forgetBatchLimit(id: string): Promise<void> {
      await redis.unlink(keys.batchLimit(id));
    },

    /** Since when no POST to these endpoints succeeded, milliseconds since the epoch; null where the last one did. */
    async failingSince(ids: readonly string[]): Promise<(number | null)[]> {
      const since = await Promise.all(ids.map((id) => redis.hget(keys.health(id), 'failingSince')));
      return since.map((at) => (at === null ? null : Number(at)));
    },
  };
}

/** Splits events so that no script makes too many additions. */
function chunksOf(events: readonly Handed[]): Handed[][] {
  const chunks: Handed[][] = [];
  let additions = Number.POSITIVE_INFINITY;
  for (const event of events) {
    const own = event.webhookIds.length + 1;
    if (additions + own > maxAdditions) {
      chunks.push([]);
      additions = 0;
    }
    chunks.at(-1)?.push(event);
    additions += own;
  }
  return chunks;
}
