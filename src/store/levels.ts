/** How much waits in the store and since when, for the metrics; always read in two round trips. */
import type { Redis } from 'ioredis';
import type { Lane } from '../domain/lane.ts';
import { readCampaigns } from './campaign-levels.ts';
import { keys } from './keys.ts';
import { outboxGroup } from './outbox.ts';
import { readPosts } from './post-levels.ts';
import { script } from './redis.ts';

/** The number of waiting emails of a lane, and since when the oldest has been due (milliseconds since the epoch; null when none is due). */
export type Backlog = { readonly waiting: number; readonly oldestAt: number | null };

type Stored = {
  readonly lanes: Readonly<Record<Lane, Backlog>>;
  /** By transport, as asked for. */
  readonly parked: readonly Readonly<Record<Lane, number>>[];
  /** Events that notify has not handled yet; null when Redis (before 7) does not count them. */
  readonly unnotified: number | null;
  /** Events, or batches of them, that wait for endpoints, and since when an endpoint has waited for one. */
  readonly posts: Backlog;
  /** Recipients of campaigns that are at their places, and since when a campaign has not moved. */
  readonly campaigns: Backlog;
};

export type StoredLevels = ReturnType<typeof openLevels>;

/** The first parked emails may be canceled ones: at most this many are looked at to find one that waits. */
const looksAt = 20;

export function openLevels(redis: Redis) {
  async function lane(lane: Lane, transports: readonly string[], leaseMs: number, now: number) {
    const names = [keys.again(lane), keys.due(lane), keys.taken(lane), ...transports.map((t) => keys.parked(t, lane))];
    const [waiting = 0, oldestAt = '', ...parked] = (await levelsScript(redis, names, [now, leaseMs])) as (
      | number
      | string
    )[];
    const backlog: Backlog = { waiting: Number(waiting), oldestAt: oldestAt === '' ? null : Number(oldestAt) };
    return { backlog, parked: parked.map(Number) };
  }

  return {
    /** @param leaseMs lease under which a feeder takes due emails */
    async read(transports: readonly string[], leaseMs: number, now: number): Promise<Stored> {
      const [transactional, bulk, unnotified, posts, campaigns] = await Promise.all([
        lane('transactional', transports, leaseMs, now),
        lane('bulk', transports, leaseMs, now),
        readUnnotified(redis),
        readPosts(redis, now),
        readCampaigns(redis, now),
      ]);
      const parked = transports.map((_, index) => ({
        transactional: transactional.parked[index] ?? 0,
        bulk: bulk.parked[index] ?? 0,
      }));
      return {
        lanes: { transactional: transactional.backlog, bulk: bulk.backlog },
        parked,
        unnotified,
        posts,
        campaigns,
      };
    },
  };
}

/**
 * KEYS again due taken parked...; ARGV now leaseMs. Emails in `taken` have been due at least since they were taken. A parked email without a
 * mark in `again` no longer waits. Answers waiting, oldestAt ('' for none), then the number of parked emails for each key.
 */
const levelsScript = script(`
local now, oldest = tonumber(ARGV[1]), nil
local function since(at)
  at = tonumber(at)
  if at and at <= now and (not oldest or at < oldest) then oldest = at end
end
local waiting = redis.call('ZCARD', KEYS[1]) + redis.call('ZCOUNT', KEYS[2], '-inf', ARGV[1])
for i = 1, 2 do since(redis.call('ZRANGE', KEYS[i], 0, 0, 'WITHSCORES')[2]) end
for _, taken in ipairs(redis.call('HVALS', KEYS[3])) do
  local leaseEnd, ids = string.match(taken, '^(%S+) (.*)$')
  waiting = waiting + select(2, string.gsub(ids, '[^,]+', ''))
  since(tonumber(leaseEnd) - tonumber(ARGV[2]))
end
local answer = {waiting, ''}
for i = 4, #KEYS do
  answer[#answer + 1] = redis.call('ZCARD', KEYS[i])
  local first = redis.call('ZRANGE', KEYS[i], 0, ${looksAt - 1}, 'WITHSCORES')
  for n = 1, #first, 2 do
    if redis.call('ZSCORE', KEYS[1], first[n]) then
      since(first[n + 1])
      break
    end
  end
end
if oldest then answer[2] = string.format('%.0f', oldest) end
return answer`);

async function readUnnotified(redis: Redis): Promise<number | null> {
  const groups = await redis.xinfo('GROUPS', keys.outbox).catch((error: Error) => {
    if (error.message.includes('no such key')) return [];
    throw error;
  });
  for (const fields of groups as (string | number | null)[][]) {
    const field = (name: string) => (fields.includes(name) ? fields[fields.indexOf(name) + 1] : null);
    if (field('name') !== outboxGroup) continue;
    const lag = field('lag') ?? null;
    return lag === null ? null : Number(field('pending')) + Number(lag);
  }
  return null;
}
