/** Composition of the watch over Redis: its clock, what it guarantees while the process runs, and what a stop gives up while it is away. */
import type { Common } from './app.ts';
import type { Start } from './app-start.ts';
import { fleetClock, monotonicNow, ownNow } from './chance.ts';
import { openLoop } from './concurrency/loop.ts';
import { makeNudge, type Nudge } from './concurrency/nudge.ts';
import { abandonRedis, type Stop, type Unsaved } from './pipeline/abandon-redis.ts';
import { checkRedis } from './pipeline/check-redis.ts';
import { keepTime } from './pipeline/keep-time.ts';
import { openClock } from './store/clock.ts';
import { askAnew, isRedisTrouble } from './store/redis.ts';
import { openServer, type Server } from './store/server.ts';

/** How often the guarantees of Redis are checked again; after a reconnect they are checked at once. */
const inspectEveryMs = 60_000;
/** The same for a Redis that takes no writes, or with which no process would start: it may be repaired or replaced soon. */
const inspectUnfitEveryMs = 2_000;

/** How often the clock of Redis is read. Between two readings clocks drift by microseconds, unless one was set or the machine slept. */
const readClockEveryMs = 5_000;

const lookAtStopEveryMs = 200;

type Connection = Awaited<ReturnType<Common['connect']>>;

type Watch = {
  /** Closes `all`; if Redis is away meanwhile, gives up what waits for it. */
  close(all: AsyncDisposable): Promise<void>;
  /** Logs that the process ends, and with what in hand. */
  tellStopped(): Unsaved;
};

/** @throws when the present Redis is not fit for a start */
export async function watchRedis(common: Common, redis: Connection, start: Pick<Start, 'awaits'>): Promise<Watch> {
  const { config, report, seenRedis: seen, writeRefused, unsaved, stopping, cut } = common;
  const server = openServer(redis);
  const facts = async () => {
    const found = await server.facts();
    // A primary that became a replica keeps its connections, while a new one leads to the new primary.
    return found.isReplica ? askAnew(redis, (fresh) => openServer(fresh).facts()) : found;
  };
  const checkDeps = { server: { facts }, mustBeDurable: config.REQUIRE_DURABLE_REDIS, seen, report: report.redis };
  const { unfitToStart } = await start.awaits(() => checkRedis(checkDeps));
  if (unfitToStart !== null) throw new Error(unfitToStart);
  await openTime(common, redis, server, start);
  // A stop ends the connection as well: that is not reported.
  server.onReach((why) => stopping.aborted || report.reach(why));
  const isFit = () => seen.standing === null || (seen.standing.isWritable && seen.standing.unfitToStart === null);
  const everyMs = () => (isFit() ? inspectEveryMs : inspectUnfitEveryMs);
  openLooks(common, server, { name: 'check redis', everyMs, nudge: writeRefused }, async (again) => {
    await checkRedis(checkDeps).catch((error: unknown) => {
      // Right after a failover Redis may not answer yet. Its guarantees must not stay unknown for a minute.
      again();
      throw error;
    });
  });
  let stop: Stop | null = null;
  const abandonDeps = { ping: server.ping, unsaved, cut: () => cut.abort(), now: monotonicNow };
  return {
    async close(all) {
      const begun = { silentSince: null, endsAt: monotonicNow() + config.SHUTDOWN_TIMEOUT, isGivenUp: false };
      stop = begun;
      const step = () => abandonRedis(abandonDeps, begun);
      await using _loop = openLoop('abandon redis', step, { everyMs: lookAtStopEveryMs, onTrouble: report.trouble });
      await all[Symbol.asyncDispose]();
    },
    tellStopped() {
      report.stopped({ emails: [...unsaved.emails], posts: unsaved.posts, isRedisAway: stop?.isGivenUp ?? false });
      return unsaved;
    },
  };
}

/** Reads the clock before anything is taken or stored, then again and again, also after a reconnect: it may lead to another server. */
async function openTime(
  common: Common,
  redis: Connection,
  server: Server,
  start: Pick<Start, 'awaits'>,
): Promise<void> {
  const clock = openClock(redis, monotonicNow);
  const timeDeps = { clock, fleetClock, ownNow, told: { ms: 0 }, report: common.report.clock };
  await start.awaits(() => keepTime(timeDeps));
  openLooks(common, server, { name: 'clock', everyMs: () => readClockEveryMs, nudge: makeNudge() }, async () => {
    // It is already reported that Redis is away, and the fleet's clock runs without it.
    await keepTime(timeDeps).catch((error: unknown) => {
      if (!isRedisTrouble(error)) throw error;
    });
  });
}

type Looks = { readonly name: string; everyMs(): number; readonly nudge: Nudge };

/** Runs `look` every `everyMs`, when it is nudged, and after each reconnect. @param look may ask to be run again at once */
function openLooks(
  { report, opened }: Common,
  server: Server,
  { name, everyMs, nudge }: Looks,
  look: (again: () => void) => Promise<void>,
): void {
  server.onReturn(nudge.nudge);
  const step = async (stop: AbortSignal) => {
    await nudge.wait(0, everyMs(), stop);
    if (!stop.aborted) await look(nudge.nudge);
  };
  opened.use(openLoop(name, step, { everyMs: 0, onTrouble: report.trouble }));
}
