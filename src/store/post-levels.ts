/** How much waits to be posted to webhook endpoints, and since when: a few quick commands for each endpoint that has something waiting. */
import type { Redis } from 'ioredis';
import { deliveryId, placesIn } from '../domain/delivery.ts';
import { placeTime } from '../domain/event-feed.ts';
import { unpackDelivery } from './deliveries.ts';
import { keys } from './keys.ts';
import type { Backlog } from './levels.ts';

/** Most parcels looked at, from the last one: parcels with the most tries come again last. A batch is one parcel of up to 10 KB. */
const mostLooked = 20;

export async function readPosts(redis: Redis, now: number): Promise<Backlog> {
  // Endpoints without waiting events are not in it: of a thousand endpoints, most at any moment.
  const ids = await redis.zrange(keys.postsDue, '0', '-1');
  const each = await Promise.all(ids.map((id) => readEndpoint(redis, id, now)));
  const since = each.flatMap(({ oldestAt }) => (oldestAt === null ? [] : [oldestAt]));
  const waiting = each.reduce((sum, one) => sum + one.waiting, 0);
  return { waiting, oldestAt: since.length === 0 ? null : Math.min(...since) };
}

/**
 * A due post waits since it was due. A post that failed and comes again waits since its first try was due, counted from the last replay. Posts
 * of an endpoint that is down wait since its failures began. The place of a post in hand says nothing: a replay of an old event is no delay.
 */
async function readEndpoint(redis: Redis, id: string, now: number): Promise<Backlog> {
  const [waiting, first, last, inHand, failingSince] = await Promise.all([
    redis.zcard(keys.posts(id)),
    redis.zrange(keys.posts(id), '0', '0', 'WITHSCORES'),
    redis.zrange(keys.posts(id), '0', String(mostLooked - 1), 'REV', 'WITHSCORES'),
    redis.zrangebyscore(keys.posting(id), now, '+inf'),
    redis.hget(keys.health(id), 'failingSince'),
  ]);
  if (waiting === 0) return { waiting, oldestAt: null };
  const isDue = ({ at }: Parcel) => at <= now;
  const due = parcelsIn(first).filter(isDue);
  const again = parcelsIn(last).filter((one) => !isDue(one) && !inHand.includes(one.parcel));
  const since = [
    ...due.map(({ at }) => at),
    ...(await schedulesSince(redis, id, again)),
    ...(failingSince === null ? [] : [Number(failingSince)]),
  ];
  return { waiting, oldestAt: since.length === 0 ? null : Math.min(...since) };
}

/** When the first try in the present schedule of each was due; without a time in its record, when its event happened. */
async function schedulesSince(redis: Redis, id: string, parcels: readonly Parcel[]): Promise<number[]> {
  if (parcels.length === 0) return [];
  const records = await redis.hmget(keys.deliveries(id), ...parcels.map(({ parcel }) => deliveryId(parcel)));
  return parcels.map(({ parcel }, n) => {
    const record = records[n];
    const since = record ? unpackDelivery(record, 'pending').scheduleSince : null;
    return since ?? Math.min(...placesIn(parcel).map(placeTime));
  });
}

type Parcel = { readonly parcel: string; readonly at: number };

/** @param withScores members, each followed by its score */
function parcelsIn(withScores: readonly string[]): Parcel[] {
  return withScores.flatMap((parcel, n) => (n % 2 === 0 ? [{ parcel, at: Number(withScores[n + 1]) }] : []));
}
