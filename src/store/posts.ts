/** What waits to be posted, endpoint by endpoint: taken under a lease, so that what a worker had in hand when it died comes again. */
import type { Redis } from 'ioredis';
import {
  batchMark,
  type Delivery,
  deliveryId,
  deliveryStatuses,
  isBatch,
  lostDelivery,
  placesIn,
} from '../domain/delivery.ts';
import { compareCursors, sortableCursor } from '../domain/event-feed.ts';
import { type Health, probingAfter } from '../domain/post.ts';
import type { Webhook } from '../domain/webhook.ts';
import type { CreationMark } from './creations.ts';
import { packDelivery, packedBeginning, packReason } from './deliveries.ts';
import { keys } from './keys.ts';
import { outboxGroup } from './outbox.ts';
import {
  againScript,
  dropLostScript,
  dropScript,
  handScript,
  renewScript,
  settleScript,
  takeScript,
} from './post-scripts.ts';

export type Posts = ReturnType<typeof openPosts>;

/** An event of the outbox and the endpoints that want it. */
export type Handed = { readonly place: string; readonly webhookIds: readonly string[] };

/** Parcels in hand until `leaseEnd`, of an endpoint that fared so. */
export type TakenPosts = {
  readonly parcels: readonly string[];
  /** Since when each of them was due, milliseconds since the epoch. */
  readonly dueSince: readonly number[];
  readonly leaseEnd: number;
  readonly health: Health;
};

/** What a try came to. */
export type Posted = {
  /** As it is now. */
  readonly delivery: Delivery;
  readonly leaseEnd: number;
  /** Where it was posted, and what batches were asked for there. */
  readonly url: string;
  readonly batch: Webhook['batch'];
  /** What it says of the endpoint, as long as that is there; null for nothing. */
  readonly endpoint: 'up' | 'down' | null;
  /** Until when an endpoint that keeps failing is left alone, and until when it is in any case, as it asked for. */
  readonly restUntil: number;
  readonly holdUntil: number | null;
  /** What its events go out in from now on, where that is not itself. */
  readonly halves: readonly string[];
  /** What was answered; an empty answer is not kept. */
  readonly answer: string | null;
};

/** How many parcels, and how many of those that were never tried were written down. */
export type DroppedPosts = { readonly parcels: number; readonly untried: number };

/** Parcels in hand of one endpoint in the whole fleet: enough for a slow answer to cost little, few enough for a small consumer. */
export const mostInHand = 50;
/** The same of batches as large as they may be; of smaller ones more, until that is as many. */
export const mostBatchesInHand = 4;

/** Deliveries kept of an endpoint that went well, and of those that failed: enough to look back on, about 200 bytes each. */
const keptDeliveries = 1_000;
/** Answers kept of an endpoint, 16 KB each at most. */
const keptAnswers = 200;

/** Additions of one script, which holds Redis up for a few milliseconds. */
const maxAdditions = 5_000;
const maxAgain = 1_000;
/** Parcels that are looked at in one step: a batch is one of up to 10 KB. */
const maxLost = 500;

export function openPosts(redis: Redis) {
  const fourOf = (id: string) => [keys.posts(id), keys.posting(id), keys.health(id), keys.postsDue];

  return {
    /** Acknowledges events and has each wait for its endpoints, in one step: an event that was handed over once never is again. */
    async hand(events: readonly Handed[], now: number): Promise<void> {
      const ids = [...new Set(events.flatMap(({ webhookIds }) => webhookIds))];
      const numbers = new Map(ids.map((id, index) => [id, index + 1]));
      const names = [keys.outbox, keys.webhooks, keys.postsDue, ...ids.map(keys.posts)];
      let before = 0;
      for (const chunk of chunksOf(events)) {
        const args = chunk.flatMap(({ place, webhookIds }) => [
          place,
          webhookIds.map((id) => `${numbers.get(id)},`).join(''),
        ]);
        await handScript(redis, names, [outboxGroup, now, before, ids.length, ...ids, ...args]);
        before += chunk.length;
      }
    },

    /** Endpoints that something is due for, the longest due first, and when the next is (null for never). */
    async due(now: number, limit: number): Promise<{ ids: string[]; nextAt: number | null }> {
      const [ids, next] = await Promise.all([
        redis.zrangebyscore(keys.postsDue, '-inf', now, 'LIMIT', 0, limit),
        redis.zrangebyscore(keys.postsDue, `(${now}`, '+inf', 'WITHSCORES', 'LIMIT', 0, 1),
      ]);
      const [, nextAt] = next.flat();
      return { ids, nextAt: nextAt === undefined ? null : Number(nextAt) };
    },

    /** Takes parcels that are due for an endpoint, `limit` at most: nobody else has the same before the lease ends. */
    async take(
      { id, batch }: Pick<Webhook, 'id' | 'batch'>,
      { limit, leaseMs, now }: { limit: number; leaseMs: number; now: number },
    ): Promise<TakenPosts> {
      const leaseEnd = Math.round(now + leaseMs);
      const args = [id, now, leaseEnd, limit, mostInHand, probingAfter, batch?.maxEvents ?? 0, batch?.maxWaitMs ?? 0];
      const [pending = '', , failed = ''] = byStatus(id);
      const taken = await takeScript(
        redis,
        [...fourOf(id), pending, failed, keys.batchLimit(id)],
        [...args, batchMark, mostBatchesInHand],
      );
      const [failures, since, ...pairs] = taken as string[];
      const parcels = pairs.filter((_, n) => n % 2 === 0);
      const dueSince = pairs.filter((_, n) => n % 2 === 1).map((at) => Math.floor(Number(at)));
      const health = { failures: Number(failures), failingSince: since ? Number(since) : null };
      return { parcels, dueSince, leaseEnd, health };
    },

    /** Writes down what a try came to, and when the parcel comes again. False when the lease had ended: then nothing is written. */
    async settle(id: string, posted: Posted, now: number): Promise<boolean> {
      const { delivery, leaseEnd, endpoint, answer } = posted;
      const log = [keys.deliveries(id), ...byStatus(id), keys.answers(id), keys.answersByTime(id)];
      const names = [...fourOf(id), ...log, keys.webhooks, keys.batchLimit(id)];
      const parcel = [id, delivery.parcel, leaseEnd, now, delivery.status, delivery.nextAt ?? ''];
      const record = [delivery.id, packDelivery(delivery)];
      const health = [endpoint ?? '', posted.restUntil, posted.holdUntil ?? 0, probingAfter];
      const kept = [answer ? `${delivery.id}.${delivery.attempts}` : '', answer ?? '', keptAnswers];
      const events = isBatch(delivery.parcel) ? placesIn(delivery.parcel).length : 0;
      const size = [events, posted.batch?.maxEvents ?? 0];
      const args = [...parcel, ...record, ...health, keptDeliveries, ...kept, posted.url, packedBeginning(now)];
      return (await settleScript(redis, names, [...args, ...size, ...posted.halves])) === 1;
    },

    /**
     * Has parcels go out now, each at the beginning of its schedule, whether they wait, went out before or, but for what succeeds then, are in hand.
     * @param parcels in the order of their places
     * @param mark under which none goes out that went out before, nor one whose place is before that of such a one
     */
    async again(id: string, parcels: readonly string[], now: number, mark: CreationMark | null = null): Promise<void> {
      const names = [...fourOf(id), keys.deliveries(id), mark?.key ?? keys.deliveries(id)];
      for (let from = 0; from < parcels.length; from += maxAgain) {
        const args = parcels
          .slice(from, from + maxAgain)
          .flatMap((parcel) => [parcel, deliveryId(parcel), sortableCursor(placesIn(parcel)[0] ?? parcel)]);
        await againScript(redis, names, [id, now, packedBeginning(now), mark?.begun ?? '', ...args]);
      }
    },

    /** Forgets what waits for an endpoint that is disabled or gone, and how it fared; of one that was enabled meanwhile, nothing. */
    async drop(id: string): Promise<void> {
      const [pending = '', , failed = ''] = byStatus(id);
      await dropScript(redis, [...fourOf(id), pending, failed, keys.webhooks, keys.batchLimit(id)], [id]);
    },

    /**
     * Forgets what waits for an endpoint although its events are no longer stored, and writes down that it failed; some of it at a time, from
     * what has waited longest. What is in hand is left to whoever posts it.
     * @param maxUntried of what was never tried, how much of it is written down at most: a log of thousands would be of nothing else
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
      const names = [...fourOf(id), keys.deliveries(id), ...byStatus(id)];
      const args = lost.flatMap((delivery) => [delivery.parcel, delivery.id, packDelivery(delivery)]);
      const limits = [keptDeliveries, maxUntried];
      const dropped = await dropLostScript(redis, names, [id, now, ...limits, packReason(first), ...args]);
      const [parcels = 0, untried = 0] = dropped as number[];
      return { parcels, untried };
    },

    /** Forgets how an endpoint fared, and lets it have what waits: it was moved. */
    async renew(id: string, now: number): Promise<void> {
      await renewScript(redis, [keys.health(id), keys.postsDue, keys.batchLimit(id)], [id, now]);
    },

    /** Forgets which batches were too large for an endpoint. */
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

/** Everything that is kept of an endpoint under a key of its own. */
export function ownKeys(id: string): string[] {
  const log = [keys.deliveries(id), ...byStatus(id), keys.answers(id), keys.answersByTime(id)];
  return [keys.posts(id), keys.posting(id), keys.health(id), keys.batchLimit(id), ...log];
}

function byStatus(id: string): string[] {
  return deliveryStatuses.map((status) => keys.deliveriesBy(id, status));
}

/** Cut so that no script makes too many additions. */
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
