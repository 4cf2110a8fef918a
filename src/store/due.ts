/** Due marks: when each email is to be taken up. Due emails are taken from here into the queue, and come back here until they are final. */
import type { Redis } from 'ioredis';
import type { Lane } from '../domain/lane.ts';
import { ringBell } from './bell.ts';
import { redisClock } from './clock.ts';
import { keys } from './keys.ts';
import { named } from './named.ts';
import { script } from './redis.ts';

/** That an email is due at `at` (milliseconds since the epoch). `isForFile`: until then it waits for a file that is being fetched. */
type DueMark = { readonly id: string; readonly at: number; readonly isForFile?: boolean };

/** Fraction of the marks of emails that wait for a file. Parked ones have another, all others are whole. */
const fileFraction = 0.25;

/** Emails taken for the queue, and when the next are due (milliseconds since the epoch, null for none). */
type Taken = { readonly ids: readonly string[]; readonly nextAt: number | null };

export type Due = ReturnType<typeof openDue>;

export function openDue(redis: Redis) {
  const both = (lane: Lane) => [keys.again(lane), keys.due(lane)];

  return {
    /**
     * Takes due emails, the longest due first, and some of the newest; no other feeder gets the same. Unless `done` is called within `leaseMs`,
     * they are due again. The lease begins when Redis runs the command, which may be late.
     * @param take a new id for this take
     */
    async take(lane: Lane, take: string, leaseMs: number, limit: number, now: number): Promise<Taken> {
      const names = takeKeys.inOrder({ again: keys.again(lane), due: keys.due(lane), taken: keys.taken(lane) });
      const args = takeArguments.inOrder({ now, limit, take, leaseMs });
      const [nextAt, ...ids] = (await takeScript(redis, names, args)) as string[];
      return { ids, nextAt: nextAt ? Number(nextAt) : null };
    },

    /** The emails of a take have reached the queue. */
    async done(lane: Lane, take: string): Promise<void> {
      await redis.hdel(keys.taken(lane), take);
    },

    /** Marks emails that come again. An email that a caller moved meanwhile keeps its newer mark. */
    async mark(lane: Lane, marks: readonly DueMark[], now: number): Promise<void> {
      const args = [
        now,
        ...marks.flatMap(({ id, at, isForFile }) => [isForFile ? Math.floor(at) + fileFraction : at, id]),
      ];
      if (marks.length > 0) await markScript(redis, [keys.bell, ...both(lane)], args);
    },

    /** When an email is due; null when it has no mark. */
    async at(lane: Lane, id: string): Promise<number | null> {
      const scores = await Promise.all(both(lane).map((key) => redis.zscore(key, id)));
      const marks = scores.filter((score) => score !== null).map(Number);
      return marks.length === 0 ? null : Math.min(...marks);
    },

    /** Whether an email waits for a file that a worker fetches. */
    async isForFile(lane: Lane, id: string, now: number): Promise<boolean> {
      const at = Number((await redis.zscore(keys.again(lane), id)) ?? 0);
      return at > now && at % 1 === fileFraction;
    },

    /** How many emails of a lane wait here: those due and those that come again, but not those scheduled for later. */
    async waiting(lane: Lane, now: number): Promise<number> {
      const [again, due] = await Promise.all([
        redis.zcard(keys.again(lane)),
        redis.zcount(keys.due(lane), '-inf', now),
      ]);
      return again + due;
    },
  };
}

const takeKeys = named('again', 'due', 'taken');
const takeArguments = named('now', 'limit', 'take', 'leaseMs');

/**
 * Emails that come again may have half of the places, other due emails the rest; the newest of these get a quarter of all places. So a login
 * code passes a hundred thousand emails that were scheduled for one second. The end of the lease and the ids are stored for each take, so that
 * a repeat of the command gets the same answer. Answers nextAt, ids.
 */
const takeScript = script(`${redisClock}
${takeKeys.read('KEYS')}
${takeArguments.read('ARGV')}
local answer = {''}
local function nextAt()
  for _, key in ipairs({again, due}) do
    local score = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]
    if score and (answer[1] == '' or tonumber(score) < tonumber(answer[1])) then answer[1] = score end
  end
end
local takes = redis.call('HGETALL', taken)
for i = 1, #takes, 2 do
  local leaseEnd, ids = string.match(takes[i + 1], '^(%S+) (.*)$')
  if takes[i] == take then
    for id in string.gmatch(ids, '[^,]+') do answer[#answer + 1] = id end
    nextAt()
    return answer
  end
  if tonumber(leaseEnd) <= redisNow() then
    for id in string.gmatch(ids, '[^,]+') do redis.call('ZADD', again, 'NX', now, id) end
    redis.call('HDEL', taken, takes[i])
  end
end
local function add(key, ids, from, to, step)
  if #ids > 0 then redis.call('ZREM', key, unpack(ids)) end
  for i = from, to, step do answer[#answer + 1] = ids[i] end
end
local function takeOldest(key, most)
  local ids = redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, most)
  add(key, ids, 1, #ids, 1)
end
local function takeNewest(key, most)
  local ids = redis.call('ZREVRANGEBYSCORE', key, now, '-inf', 'LIMIT', 0, most)
  add(key, ids, #ids, 1, -1)
end
takeOldest(again, math.ceil(limit / 2))
local newest = math.floor(limit / 4)
takeOldest(due, limit - #answer + 1 - newest)
takeNewest(due, newest)
takeOldest(again, limit - #answer + 1)
if #answer > 1 then redis.call('HSET', taken, take, redisNow() + leaseMs .. ' ' .. table.concat(answer, ',', 2)) end
nextAt()
return answer`);

/** The bell rings for emails due within this time; feeders look at least this often for later ones. */
const soonMs = 1_000;

/** Lua: marks an email and rings when it is due soon. */
export const markAgain = `${ringBell}
local function markAgain(bell, again, now, at, id)
  redis.call('ZADD', again, at, id)
  if tonumber(at) < tonumber(now) + ${soonMs} then ringBell(bell) end
end
`;

/** KEYS bell again due; ARGV now, then for each email: at id. */
const markScript = script(`${markAgain}
for i = 2, #ARGV, 2 do
  if not redis.call('ZSCORE', KEYS[3], ARGV[i + 1]) then markAgain(KEYS[1], KEYS[2], ARGV[1], ARGV[i], ARGV[i + 1]) end
end`);
