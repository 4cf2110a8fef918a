/**
 * How the result of a try is stored, in one atomic step that the tries of one turn share. Here are both its sides, what Lua does and what it is
 * given.
 */
import type { Redis } from 'ioredis';
import { type Member, makeGroup } from '../concurrency/group.ts';
import { type Delivery, isBatch, placesIn } from '../domain/delivery.ts';
import { probingAfter } from '../domain/post.ts';
import type { Webhook } from '../domain/webhook.ts';
import { packDelivery, packedBeginning } from './deliveries.ts';
import { named } from './named.ts';
import { postKeysOf } from './post-keys.ts';
import { batchLimit, begun, index, isOnlySplit, trim } from './post-lua.ts';
import { areOnes, script } from './redis.ts';

/** What a try came to. */
export type Posted = {
  /** The delivery with this try. */
  readonly delivery: Delivery;
  readonly leaseEnd: number;
  /** The URL it was posted to. */
  readonly url: string;
  /** The batches it asked for then. */
  readonly batch: Webhook['batch'];
  /** What the try says about the endpoint, if that still has this URL; null for nothing. */
  readonly endpoint: 'up' | 'down' | null;
  /** Until when an endpoint that keeps failing gets no posts; `holdUntil`: until when it gets none in any case, because it asked so. */
  readonly restUntil: number;
  readonly holdUntil: number | null;
  /** The parcels that replace this one from now on; empty when it stays. */
  readonly halves: readonly string[];
  /** The answer of the endpoint; an empty one is not kept. */
  readonly answer: string | null;
};

/** Deliveries kept of an endpoint, successful and failed ones each; about 200 bytes per delivery. */
export const keptDeliveries = 1_000;
/** Answers kept of an endpoint, 16 KB each at most. */
const keptAnswers = 200;

const settleKeys = named(
  'posts',
  'posting',
  'health',
  'postsDue',
  'deliveries',
  'pending',
  'success',
  'failed',
  'answers',
  'answersByTime',
  'webhooks',
  'limit', // of its batches
);

/** What `settle` is given of a try. The parcels that replace its own follow. */
const settleArguments = named(
  'id',
  'parcel',
  'leaseEnd',
  'now',
  'status', // of the delivery
  'nextAt', // when it comes again; '' for never
  'delivery', // its id
  'record',
  'endpoint', // what the try says about it: 'up', 'down' or ''; ignored when the endpoint was moved since
  'restUntil', // until when the endpoint rests if it is failing
  'holdUntil', // until when in any case
  'failingFrom', // failures from which it is failing
  'keptDeliveries', // of each status
  'answerName', // '' for no answer to keep
  'answer',
  'keptAnswers',
  'url', // that was posted to
  'beginning', // the end of a record that begins a new schedule
  'events', // in the parcel if it is a batch, else 0
  'usualEvents', // of a batch, as the endpoint asked for
  'halves', // how many parcels replace it
);

/**
 * Stores the result of each try whose worker still has its lease. For each, KEYS `settleKeys`; ARGV `settleArguments`, then the halves. Answers
 * 1 for each that was stored. What is next for an endpoint is noted once, after all of its results.
 *
 * A parcel that was replayed while it was in hand is due again at once, unless this try succeeded. Of batches whose tries all
 * said that they were too large, only the last record is kept: one for each would push all other deliveries out.
 */
const settleScript = script(
  `${index}${trim}${begun}${isOnlySplit}${batchLimit}
local noteNext = {}
local function settle(key, at)
  ${settleKeys.read('KEYS', 'key')}
  ${settleArguments.read('ARGV', 'at')}
  local firstHalf, lastHalf = at + ${settleArguments.count}, at + ${settleArguments.count} + halves - 1
  local held = tonumber(redis.call('ZSCORE', posting, parcel) or 0)
  if math.ceil(held) ~= tonumber(leaseEnd) then return 0 end
  redis.call('ZREM', posting, parcel)
  local isSplit = lastHalf >= firstHalf
  local isReplayed = held < tonumber(leaseEnd) and status ~= 'success' and not isSplit
  local dueAt = isReplayed and now or nextAt
  if dueAt == '' then redis.call('ZREM', posts, parcel) else redis.call('ZADD', posts, dueAt, parcel) end
  for i = firstHalf, lastHalf do redis.call('ZADD', posts, 'NX', now, ARGV[i]) end
  local rings = {pending = pending, success = success, failed = failed}
  for other, ring in pairs(rings) do
    if other ~= status then redis.call('ZREM', ring, delivery) end
  end
  redis.call('HSET', deliveries, delivery, isReplayed and begun(record, beginning) or record)
  redis.call('ZADD', rings[status], now, delivery)
  if status ~= 'pending' then trim(rings[status], deliveries, tonumber(keptDeliveries), 100) end
  if answerName ~= '' then
    redis.call('HSET', answers, answerName, answer)
    redis.call('ZADD', answersByTime, now, answerName)
    trim(answersByTime, answers, tonumber(keptAnswers), 0)
  end
  local function isThere()
    local stored = redis.call('HGET', webhooks, id)
    if not stored then return true end
    local isRead, webhook = pcall(cjson.decode, stored)
    return isRead and webhook.endpoint == url
  end
  if isSplit and isThere() then
    local last = redis.call('HGET', limit, 'delivery')
    local known = last and last ~= delivery and redis.call('HGET', deliveries, last)
    if known and isOnlySplit(known) and redis.call('ZREM', failed, last) == 1 then redis.call('HDEL', deliveries, last) end
    redis.call('HSET', limit, 'delivery', delivery)
    learn(limit, tonumber(events), tonumber(usualEvents), now)
  elseif status == 'success' and events ~= '0' and isThere() then
    noteTaken(limit, tonumber(events), now)
  end
  if endpoint == 'up' then
    if redis.call('EXISTS', health) == 1 and isThere() then redis.call('DEL', health) end
  elseif endpoint == 'down' and isThere() then
    local failures = redis.call('HINCRBY', health, 'failures', 1)
    redis.call('HSETNX', health, 'failingSince', now)
    local rest = tonumber(holdUntil)
    if failures >= tonumber(failingFrom) then rest = math.max(rest, tonumber(restUntil)) end
    if rest > restOf(health, now) then
      redis.call('HSET', health, 'restUntil', string.format('%.0f', rest), 'restSince', now)
    end
  end
  noteNext[id] = function() index(postsDue, posts, health, id, now, 0) end
  return 1
end
local answer, key, at = {}, 1, 1
while at <= #ARGV do
  ${settleArguments.read('ARGV', 'at', ['halves'])}
  answer[#answer + 1] = settle(key, at)
  key, at = key + ${settleKeys.count}, at + ${settleArguments.count} + tonumber(halves)
end
for _, note in pairs(noteNext) do note() end
return answer`,
  'at_once',
);

type SettleMember = Member & { readonly id: string; readonly args: readonly (string | number)[] };

export function openSettle(redis: Redis) {
  const settleInGroup = makeGroup((members: readonly SettleMember[]) => settleMembers(redis, members));

  /** Stores the result of a try and when the parcel comes again. False when the lease had ended: then nothing is stored. */
  return (id: string, posted: Posted, now: number): Promise<boolean> => {
    const bytes = posted.answer?.length ?? 0;
    return settleInGroup({ id, args: settleArgs(id, posted, now), claim: null, bytes });
  };
}

async function settleMembers(redis: Redis, members: readonly SettleMember[]): Promise<boolean[]> {
  const names = members.flatMap(({ id }) => settleKeys.inOrder(postKeysOf(id)));
  const stored = await settleScript(
    redis,
    names,
    members.flatMap(({ args }) => args),
  );
  return areOnes(stored);
}

function settleArgs(id: string, posted: Posted, now: number): (string | number)[] {
  const { delivery } = posted;
  const own = settleArguments.inOrder({
    id,
    parcel: delivery.parcel,
    leaseEnd: posted.leaseEnd,
    now,
    status: delivery.status,
    nextAt: delivery.nextAt ?? '',
    delivery: delivery.id,
    record: packDelivery(delivery),
    endpoint: posted.endpoint ?? '',
    restUntil: posted.restUntil,
    holdUntil: posted.holdUntil ?? 0,
    failingFrom: probingAfter,
    keptDeliveries,
    answerName: posted.answer ? `${delivery.id}.${delivery.attempts}` : '',
    answer: posted.answer ?? '',
    keptAnswers,
    url: posted.url,
    beginning: packedBeginning(now),
    events: isBatch(delivery.parcel) ? placesIn(delivery.parcel).length : 0,
    usualEvents: posted.batch?.maxEvents ?? 0,
    halves: posted.halves.length,
  });
  return [...own, ...posted.halves];
}
