/** Composition of what watches over Redis: what time it is there, what it guarantees while the process runs, and what is given up when it is away at the stop. */
import type { Ground } from './app.ts';
import type { Start } from './app-start.ts';
import { fleetClock, monotonicNow, ownNow } from './chance.ts';
import { openLoop } from './concurrency/loop.ts';
import { makeNudge } from './concurrency/nudge.ts';
import { abandonRedis, type Stop, type Unsaved } from './pipeline/abandon-redis.ts';
import { checkRedis } from './pipeline/check-redis.ts';
import { keepTime } from './pipeline/keep-time.ts';
import { openClock } from './store/clock.ts';
import { isRedisTrouble } from './store/redis.ts';
import { openServer, type Server } from './store/server.ts';

/** How often it is looked whether Redis still guarantees what it did; sooner when a connection was made anew. */
const inspectEveryMs = 60_000;

/** How often its clock is read: between two readings clocks come apart by microseconds, unless one was put forward or back, or the machine slept. */
const readClockEveryMs = 5_000;

const lookAtStopEveryMs = 200;

type Connection = Awaited<ReturnType<Ground['connect']>>;

export type Watch = {
  /** Closes `all`, and gives up what waits for Redis should that be away. */
  close(all: AsyncDisposable): Promise<void>;
  /** Says in the log that the process ends, and with what in hand. */
  tellStopped(): Unsaved;
};

/** @throws when the Redis that is there now will not do */
export async function watchRedis(ground: Ground, redis: Connection, start: Pick<Start, 'awaits'>): Promise<Watch> {
  const { config, report, seenRedis: seen, hands, stopping, cut } = ground;
  const server = openServer(redis);
  const inspecting = { server, mustBeDurable: config.REQUIRE_DURABLE_REDIS, seen, report: report.redis };
  const { unfitToStart } = await start.awaits(() => checkRedis(inspecting));
  if (unfitToStart !== null) throw new Error(unfitToStart);
  await openTime(ground, redis, server, start);
  // That a stop ends the connection is no news.
  server.onReach((why) => stopping.aborted || report.reach(why));
  openLooks(ground, server, { name: 'check redis', everyMs: inspectEveryMs }, async (again) => {
    await checkRedis(inspecting).catch((error: unknown) => {
      // Right after a failover it may not answer yet, and what it guarantees is not left unknown for a minute.
      again();
      throw error;
    });
  });
  let stop: Stop | null = null;
  const relinquishing = { ping: server.ping, hands, cut: () => cut.abort(), now: monotonicNow };
  return {
    async close(all) {
      const begun = { silentSince: null, endsAt: monotonicNow() + config.SHUTDOWN_TIMEOUT, isGivenUp: false };
      stop = begun;
      const step = () => abandonRedis(relinquishing, begun);
      await using _loop = openLoop('abandon redis', step, { everyMs: lookAtStopEveryMs, onTrouble: report.trouble });
      await all[Symbol.asyncDispose]();
    },
    tellStopped() {
      report.stopped({ emails: [...hands.emails], posts: hands.posts, isRedisAway: stop?.isGivenUp ?? false });
      return hands;
    },
  };
}

/** Before anything is taken or stored; and again, also when another server may have taken the place of the one that went. */
async function openTime(
  ground: Ground,
  redis: Connection,
  server: Server,
  start: Pick<Start, 'awaits'>,
): Promise<void> {
  const clock = openClock(redis, monotonicNow);
  const keeping = { clock, fleet: fleetClock, ownNow, told: { ms: 0 }, report: ground.report.clock };
  await start.awaits(() => keepTime(keeping));
  openLooks(ground, server, { name: 'clock', everyMs: readClockEveryMs }, async () => {
    // That Redis is away is said already, and the clock goes on without it.
    await keepTime(keeping).catch((error: unknown) => {
      if (!isRedisTrouble(error)) throw error;
    });
  });
}

type Looks = { readonly name: string; readonly everyMs: number };

/** Looks so often, and whenever a connection was made anew. @param look may ask for another right after it */
function openLooks(
  { report, opened }: Ground,
  server: Server,
  { name, everyMs }: Looks,
  look: (again: () => void) => Promise<void>,
): void {
  const nudge = makeNudge();
  server.onReturn(nudge.nudge);
  const step = async (stop: AbortSignal) => {
    await nudge.wait(0, everyMs, stop);
    if (!stop.aborted) await look(nudge.nudge);
  };
  opened.use(openLoop(name, step, { everyMs: 0, onTrouble: report.trouble }));
}
