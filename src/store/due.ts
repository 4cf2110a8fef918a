/** Due marks: which email is to be taken up when. What is due is taken from here into the queue, and comes back here until it is final. */
import type { Redis } from 'ioredis';
import type { Lane } from '../domain/lane.ts';
import { keys } from './keys.ts';
import { script } from './redis.ts';

/** That an email is due at `at` (milliseconds since the epoch). */
export type DueMark = { readonly id: string; readonly at: number };

/** Emails taken for the queue. `lease` is the mark they bear meanwhile: should their taker die, they are due again then. */
export type Taken = { readonly ids: readonly string[]; readonly lease: number; readonly nextAt: number | null };

export type Due = ReturnType<typeof openDue>;

export function openDue(redis: Redis) {
  const both = (lane: Lane) => [keys.again(lane), keys.due(lane)];

  return {
    /** Takes what is due, the longest due first; nobody else takes the same for `leaseMs`. `nextAt` is when there is more. */
    async take(lane: Lane, now: number, leaseMs: number, limit: number): Promise<Taken> {
      // Whoever marks an email anew does so at a whole millisecond.
      const lease = now + leaseMs + 0.5;
      const [nextAt, ...ids] = (await takeScript(redis, both(lane), [now, lease, limit])) as string[];
      return { ids, lease, nextAt: nextAt ? Number(nextAt) : null };
    },

    /** Notes that emails have reached the queue. One that was marked anew meanwhile stays. */
    async strikeOff(lane: Lane, { ids, lease }: Taken): Promise<void> {
      if (ids.length > 0) await strikeOffScript(redis, both(lane), [lease, ...ids]);
    },

    /** Marks emails that come again; one that a caller moved meanwhile keeps the mark it got then. */
    async mark(lane: Lane, marks: readonly DueMark[], now: number): Promise<void> {
      const args = [now, ...marks.flatMap(({ id, at }) => [at, id])];
      if (marks.length > 0) await markScript(redis, [keys.bell, ...both(lane)], args);
    },

    /** When an email is due; null when it bears no mark. */
    async at(lane: Lane, id: string): Promise<number | null> {
      const scores = await Promise.all(both(lane).map((key) => redis.zscore(key, id)));
      const marks = scores.filter((score) => score !== null).map(Number);
      return marks.length === 0 ? null : Math.min(...marks);
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

/** What comes again may take half of the places, and what else is due the rest. KEYS again due; ARGV now lease limit. Answers nextAt, ids. */
const takeScript = script(`
local now, lease, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])
local answer = {''}
local function take(key, most)
  local ids = redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, most)
  for _, id in ipairs(ids) do
    redis.call('ZADD', key, lease, id)
    answer[#answer + 1] = id
  end
end
take(KEYS[1], math.ceil(limit / 2))
take(KEYS[2], limit - #answer + 1)
take(KEYS[1], limit - #answer + 1)
for i = 1, 2 do
  local score = redis.call('ZRANGE', KEYS[i], 0, 0, 'WITHSCORES')[2]
  if score and (answer[1] == '' or tonumber(score) < tonumber(answer[1])) then answer[1] = score end
end
return answer`);

/** KEYS again due; ARGV lease, ids. */
const strikeOffScript = script(`
for _, key in ipairs(KEYS) do
  for i = 2, #ARGV do
    if tonumber(redis.call('ZSCORE', key, ARGV[i]) or -1) == tonumber(ARGV[1]) then redis.call('ZREM', key, ARGV[i]) end
  end
end`);

/** What is due within this time is told of by the bell; whoever waits for it looks that often at least. */
export const soonMs = 1_000;

/** Lua: marks an email and rings when it is due soon. */
export const markAgain = `
local function markAgain(bell, again, now, at, id)
  redis.call('ZADD', again, at, id)
  if tonumber(at) < tonumber(now) + ${soonMs} and redis.call('LLEN', bell) == 0 then redis.call('LPUSH', bell, 1) end
end
`;

/** KEYS bell again due; ARGV now, then for each email: at id. A mark that is no whole number is a lease, about to be struck off. */
const markScript = script(`${markAgain}
for i = 2, #ARGV, 2 do
  local mark = redis.call('ZSCORE', KEYS[3], ARGV[i + 1])
  if not mark or tonumber(mark) % 1 ~= 0 then markAgain(KEYS[1], KEYS[2], ARGV[1], ARGV[i], ARGV[i + 1]) end
end`);
