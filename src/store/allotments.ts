/** Allotments: how many connections of a transport each worker may have, so that the fleet keeps to the limit. */
import type { Redis } from 'ioredis';
import { keys } from './keys.ts';
import { named } from './named.ts';
import { script } from './redis.ts';

export type Allotments = ReturnType<typeof openAllotments>;

/** The report of a worker about its pool. */
export type PoolReport = {
  /** Connections it could use now. */
  readonly wanted: number;
  readonly open: number;
  readonly busy: number;
  /** Messages that wait for a connection. */
  readonly waiting: number;
  /** Busy connections whose server seems to answer no more. */
  readonly hanging: number;
};

type FleetPool = Omit<PoolReport, 'wanted'> & { readonly workers: number };

/** A worker without a report for this long, in which it could have reported, is taken for dead, and its connections for closed. */
const forgetAfterMs = 3_000;
/** When nobody reported for this long, Redis was away: every worker reports each second. */
const awayAfterMs = 2_000;
/** Reports outlast an absence of Redis for this long. Without it no connection lasts longer: it ends with its message, or idle. */
const keptMs = 900_000;

const allotArguments = named('me', 'now', 'limit', 'wanted', 'open', 'busy', 'waiting', 'hanging');

/**
 * Lua: the reports of the other live workers, of which each is stored as `at open busy waiting wanted granted held hanging spared`. `spared` is 1
 * once the silence of a worker began anew, until it reports: a dead one is not spared again and again where the only other one reports seldom.
 */
const readReports = `
local stored, latest = redis.call('HGETALL', KEYS[1]), 0
for i = 2, #stored, 2 do latest = math.max(latest, cjson.decode(stored[i])[1]) end
local wasAway = latest < now - ${awayAfterMs}
for i = 1, #stored, 2 do
  local report = cjson.decode(stored[i + 1])
  local at, _, _, _, wants, granted, held = unpack(report)
  local isSpared = wasAway and not report[9]
  if stored[i] == me then
    mine.granted, mine.held = granted, held
  elseif not isSpared and at < now - ${forgetAfterMs} then
    redis.call('HDEL', KEYS[1], stored[i])
  else
    workers[#workers + 1] = {name = stored[i], wanted = math.max(1, wants), granted = granted, share = 0}
    heldByOthers = heldByOthers + held
    if isSpared or at > now then
      -- it could not report, or a clock was set back: its silence counts from now on
      report[1] = now
      if isSpared then report[9] = 1 end
      redis.call('HSET', KEYS[1], stored[i], cjson.encode(report))
    end
  end
end
`;

/**
 * Lua: each worker gets what it wants, at least one connection, in equal shares. Connections that no worker wants are spread, so that mail of an
 * idle worker need not wait for its next report. A rest too small for all goes first to workers that would otherwise close a connection, then
 * by name. This compares `granted`, not `held`: `held` includes the last grant, and by it the rest would alternate between workers. So with
 * constant wants, the second report of each worker fixes its share, the third has freed the surplus, and with the fourth all is in use.
 */
const shareOut = `
local function isBefore(a, b)
  local aKeeps, bKeeps = a.granted > a.share, b.granted > b.share
  if aKeeps ~= bKeeps then return aKeeps end
  return a.name < b.name
end
local function spread(left, most)
  while left > 0 do
    local hungry = {}
    for _, worker in ipairs(workers) do
      if worker.share < most(worker) then hungry[#hungry + 1] = worker end
    end
    if #hungry == 0 then break end
    if left < #hungry then table.sort(hungry, isBefore) end
    local each = math.max(1, math.floor(left / #hungry))
    for _, worker in ipairs(hungry) do
      local more = math.min(each, most(worker) - worker.share, left)
      worker.share, left = worker.share + more, left - more
    end
  end
  return left
end
spread(spread(limit, function(worker) return worker.wanted end), function() return limit end)
`;

/**
 * Stores the report of a worker and answers how many connections it may have. `held` is the most it may have until its next report: the largest
 * of its new grant, its open connections, and its last grant, which it uses until it has read the answer. The sum of `held` never exceeds the
 * limit; after the limit is lowered, it only shrinks. KEYS allotments.
 */
const allotScript = script(`
${allotArguments.read('ARGV')}
now, limit = tonumber(now), tonumber(limit)
local mine = {name = me, wanted = math.max(1, tonumber(wanted)), granted = 0, held = 0, share = 0}
local workers, heldByOthers = {mine}, 0
${readReports}${shareOut}
local grant = math.max(0, math.min(mine.share, math.max(limit - heldByOthers, mine.held)))
local held = math.max(grant, tonumber(open), mine.granted)
local report = {now, tonumber(open), tonumber(busy), tonumber(waiting), tonumber(wanted), grant, held, tonumber(hanging)}
redis.call('HSET', KEYS[1], me, cjson.encode(report))
redis.call('PEXPIRE', KEYS[1], ${keptMs})
return grant`);

export function openAllotments(redis: Redis) {
  return {
    /**
     * How many connections `worker` may have from now on. What it has open beyond that it may keep until they are free; others get them
     * once it reports fewer. To be asked every second or so, and when what it wants changes much.
     * @param limit of the fleet
     */
    async allot(name: string, worker: string, report: PoolReport, limit: number, now: number): Promise<number> {
      const { wanted, open, busy, waiting, hanging } = report;
      const args = { me: worker, now, limit, wanted: Math.min(wanted, limit), open, busy, waiting, hanging };
      return (await allotScript(redis, [keys.allotments(name)], allotArguments.inOrder(args))) as number;
    },

    /** Removes a worker that has closed its connections: others may have them at once. */
    async leave(names: readonly string[], worker: string): Promise<void> {
      await Promise.all(names.map((name) => redis.hdel(keys.allotments(name), worker)));
    },

    /** Removes workers that are known to be dead: others may have their connections at once, without waiting until the reports are too old. */
    async removeDead(names: readonly string[], isDead: (worker: string) => boolean): Promise<void> {
      const remove = names.map(async (name) => {
        const dead = (await redis.hkeys(keys.allotments(name))).filter(isDead);
        if (dead.length > 0) await redis.hdel(keys.allotments(name), ...dead);
      });
      await Promise.all(remove);
    },

    /** The pools of all live workers together. One round trip. */
    async pools(names: readonly string[], now: number): Promise<Map<string, FleetPool>> {
      const pools = names.map(async (name): Promise<[string, FleetPool]> => {
        const reports = (await redis.hvals(keys.allotments(name))).map((json): number[] => JSON.parse(json));
        const live = reports.filter(([at = 0]) => at >= now - forgetAfterMs);
        const sum = (field: number) => live.reduce((total, report) => total + (report[field] ?? 0), 0);
        return [name, { workers: live.length, open: sum(1), busy: sum(2), waiting: sum(3), hanging: sum(7) }];
      });
      return new Map(await Promise.all(pools));
    },
  };
}
