/** How posts are taken: under a lease, in one atomic step. Here are both its sides, what Lua does and what it is given. */
import type { Redis } from 'ioredis';
import { batchMark } from '../domain/delivery.ts';
import { type Health, probingAfter } from '../domain/post.ts';
import type { Webhook } from '../domain/webhook.ts';
import { named } from './named.ts';
import { postKeysOf } from './post-keys.ts';
import { batchLimit, bringBack, index } from './post-lua.ts';
import { script } from './redis.ts';

/** Parcels in hand until `leaseEnd`, with the health of their endpoint. */
export type TakenPosts = {
  readonly parcels: readonly string[];
  /** Since when each of them was due, milliseconds since the epoch. */
  readonly dueSince: readonly number[];
  readonly leaseEnd: number;
  readonly health: Health;
};

export type TakeTerms = {
  readonly limit: number;
  readonly leaseMs: number;
  /** Longer than a parcel waits for its next try, or a lease lasts. */
  readonly longestWaitMs: number;
  readonly now: number;
};

/** Most parcels of one endpoint in hand in the whole fleet: enough that a slow answer costs little, few enough for a small consumer. */
const mostInHand = 50;
/** The same for full batches. Of smaller ones more are in hand, until they carry as many events. */
const mostBatchesInHand = 4;

const takeKeys = named('posts', 'posting', 'health', 'postsDue', 'pending', 'failed', 'limit');

const takeArguments = named(
  'id',
  'now',
  'leaseEnd',
  'wanted', // most parcels to take
  'mostInHand', // parcels, in the whole fleet
  'failingFrom', // failures from which there is one in hand
  'batchSize', // events of a batch, 0 for none
  'batchWaitMs', // longest wait of a batch
  'batchMark',
  'longestWaitMs', // of a parcel
  'mostBatches', // full ones in hand; smaller ones may carry as many events together
);

/**
 * Takes due parcels under a lease, the longest due first. KEYS `takeKeys`; ARGV `takeArguments`.
 *
 * Answers failures, failingSince, then each parcel and since when it was due. A parcel that was tried before its endpoint took batches goes on
 * in a batch, and its own delivery has failed.
 */
const takeScript = script(`${index}${batchLimit}${bringBack}
${takeKeys.read('KEYS')}
${takeArguments.read('ARGV')}
local givenNow = now
now = tonumber(now)
redis.call('ZREMRANGEBYSCORE', posting, '-inf', givenNow)
bringBack(posts, posting, now, longestWaitMs)
local fares = redis.call('HMGET', health, 'failures', 'failingSince')
local size, waitMs, most = tonumber(batchSize), tonumber(batchWaitMs), tonumber(mostInHand)
if size > 0 then
  local usual = size
  size = math.min(size, batchLimit(limit, now))
  most = math.min(most, math.floor(tonumber(mostBatches) * usual / size))
end
if tonumber(fares[1] or 0) >= tonumber(failingFrom) then most = 1 end
local room = math.min(tonumber(wanted), most - redis.call('ZCARD', posting))
if restOf(health, now) > now then room = 0 end
local answer, ready = {fares[1] or '', fares[2] or ''}, 0
local function take(parcel, dueAt)
  redis.call('ZADD', posts, leaseEnd, parcel)
  redis.call('ZADD', posting, leaseEnd, parcel)
  answer[#answer + 1], answer[#answer + 2], room = parcel, dueAt, room - 1
end
if room > 0 and size == 0 then
  local due = redis.call('ZRANGEBYSCORE', posts, '-inf', givenNow, 'WITHSCORES', 'LIMIT', 0, room)
  for i = 1, #due, 2 do take(due[i], due[i + 1]) end
elseif room > 0 then
  local places, since = {}, {}
  local due = redis.call('ZRANGEBYSCORE', posts, '-inf', givenNow, 'WITHSCORES', 'LIMIT', 0, room * size)
  for i = 1, #due, 2 do
    if string.sub(due[i], 1, #batchMark) ~= batchMark then
      places[#places + 1], since[#since + 1] = due[i], tonumber(due[i + 1])
    elseif room > 0 then
      take(due[i], due[i + 1])
    end
  end
  local from, isTried = 1, #places > 0 and redis.call('EXISTS', pending) == 1
  while room > 0 and from <= #places do
    local to = math.min(#places, from + size - 1)
    if to - from + 1 < size and since[from] + waitMs > now then
      local later = redis.call('ZRANGEBYSCORE', posts, '(' .. givenNow, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
      ready = math.min(since[from] + waitMs, tonumber(later or '+inf'))
      break
    end
    redis.call('ZREM', posts, unpack(places, from, to))
    for i = from, isTried and to or 0 do
      local delivery = 'dl_' .. string.gsub(places[i], '%-', '_')
      if redis.call('ZREM', pending, delivery) == 1 then redis.call('ZADD', failed, now, delivery) end
    end
    take(batchMark .. table.concat(places, ',', from, to), string.format('%.0f', since[from]))
    from = to + 1
  end
end
if most - redis.call('ZCARD', posting) <= 0 then
  ready = tonumber(redis.call('ZRANGE', posting, 0, 0, 'WITHSCORES')[2])
end
index(postsDue, posts, health, id, now, ready)
return answer`);

/** Takes due parcels of an endpoint, at most `limit`: no other worker gets the same before the lease ends. */
export async function take(
  redis: Redis,
  { id, batch }: Pick<Webhook, 'id' | 'batch'>,
  { limit, leaseMs, longestWaitMs, now }: TakeTerms,
): Promise<TakenPosts> {
  const leaseEnd = Math.round(now + leaseMs);
  const names = takeKeys.inOrder(postKeysOf(id));
  const args = takeArguments.inOrder({
    id,
    now,
    leaseEnd,
    wanted: limit,
    mostInHand,
    failingFrom: probingAfter,
    batchSize: batch?.maxEvents ?? 0,
    batchWaitMs: batch?.maxWaitMs ?? 0,
    batchMark,
    longestWaitMs,
    mostBatches: mostBatchesInHand,
  });
  const taken = await takeScript(redis, names, args);
  const [failures, since, ...pairs] = taken as string[];
  const parcels = pairs.filter((_, n) => n % 2 === 0);
  const dueSince = pairs.filter((_, n) => n % 2 === 1).map((at) => Math.floor(Number(at)));
  const health = { failures: Number(failures), failingSince: since ? Number(since) : null };
  return { parcels, dueSince, leaseEnd, health };
}
