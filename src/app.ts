/** Composition root: opens what all roles share and then the roles this process has; what is opened last is closed first. */
import { newIv } from './chance.ts';
import type { Config } from './config.ts';
import { type LinkMaker, unsubscribeKey } from './domain/unsubscribe.ts';
import { openPlans, type Plans } from './outbound/plans.ts';
import { inspect, type SeenRedis } from './pipeline/inspect.ts';
import { openLoop } from './queue/loop.ts';
import { makeNudge } from './queue/nudge.ts';
import { openLocalRedis } from './store/local-redis.ts';
import { openSecrets } from './store/local-secrets.ts';
import { openRedis, type RedisPatience, type RedisUse } from './store/redis.ts';
import { openServer } from './store/server.ts';
import { openStore } from './store/store.ts';
import { openLog } from './telemetry/log.ts';
import { type Meters, openMeters } from './telemetry/meters.ts';
import { openReports, type Reports } from './telemetry/report.ts';

export type App = AsyncDisposable & {
  /** Where the API listens; null without the api role. */
  readonly url: string | null;
  /** Where a worker without the API says how it is; null where nobody asked for that. */
  readonly healthUrl: string | null;
  readonly apiKey: string;
  /** Reads anew what may change while it runs: `TRANSPORTS_FILE`. */
  reload(): Promise<void>;
};

/** What every role is built on. */
export type Ground = {
  readonly config: Config;
  readonly report: Reports;
  readonly meters: Meters;
  readonly apiKey: string;
  readonly plans: Plans;
  /** Links to unsubscribe with. */
  readonly links: LinkMaker;
  /** Aborted when the process begins to stop. */
  readonly stopping: AbortSignal;
  readonly seenRedis: SeenRedis;
  /** A connection of its own; closed with the app. */
  connect(patience: RedisPatience, use?: RedisUse): ReturnType<typeof openRedis>;
  openStore(redis: Awaited<ReturnType<typeof openRedis>>): ReturnType<typeof openStore>;
  /** What is opened for a role, in order. */
  readonly opened: AsyncDisposableStack;
};

/** How often it is looked whether Redis still guarantees what it did; sooner when a connection was made anew. */
const inspectEveryMs = 60_000;

/** Opens everything `config` asks for. What was opened is closed again when opening fails half-way. */
export async function openApp(config: Config): Promise<App> {
  await using opened = new AsyncDisposableStack();
  const stopping = new AbortController();
  const meters = openMeters();
  const log = openLog({ level: config.LOG_LEVEL, isReadable: config.NODE_ENV === 'development' });
  const report = openReports(log, meters);
  const hasApi = config.ROLES.includes('api');
  const { apiKey, secretKey } = await openSecrets(config.DATA_DIR, {
    // Without the API there is nobody to compare a key with, and none is made.
    apiKey: hasApi ? config.POSTRIDER_API_KEY : '',
    secretKey: config.SECRET_KEY,
  });
  const { SMTP_URL, TRANSPORTS_FILE: file, variable } = config;
  const plans = opened.use(await openPlans({ url: SMTP_URL, file, variable, report: report.plan }));
  const url = config.REDIS_URL ?? opened.use(await openLocalRedis(config.DATA_DIR)).url;
  const connect: Ground['connect'] = async (patience, use) =>
    opened.adopt(await openRedis({ url, ca: config.REDIS_CA }, patience, use), (redis) => redis.disconnect());
  const ground: Ground = {
    config,
    report,
    meters,
    apiKey,
    plans,
    links: { publicUrl: config.publicUrl, key: unsubscribeKey(secretKey) },
    stopping: stopping.signal,
    seenRedis: { standing: null },
    connect,
    openStore: (redis) => openStore(redis, secretKey, newIv),
    opened,
  };
  await watchRedis(ground);
  // A process loads the code of its own roles alone: half of the time that it takes to start, and tens of megabytes.
  const health =
    hasApi || config.HEALTH_PORT === undefined ? null : await (await import('./app-health.ts')).openHealth(ground);
  if (config.ROLES.includes('worker')) await (await import('./app-worker.ts')).openWorkers(ground);
  const listensOn = hasApi ? await (await import('./app-api.ts')).openApi(ground) : null;
  const healthUrl = (await health?.listen(config.HEALTH_PORT)) ?? null;
  opened.defer(() => stopping.abort());
  const all = opened.move();
  return { url: listensOn, healthUrl, apiKey, reload: plans.reload, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

/** @throws when the Redis that is there now will not do */
async function watchRedis({ config, report, seenRedis: seen, connect, opened }: Ground): Promise<void> {
  const server = openServer(await connect('fail_fast'));
  const inspecting = { server, mustBeDurable: config.REQUIRE_DURABLE_REDIS, seen, report: report.redis };
  const { unfit } = await inspect(inspecting);
  if (unfit !== null) throw new Error(unfit);
  const nudge = makeNudge();
  server.onReturn(nudge.nudge);
  const look = async (stop: AbortSignal) => {
    await nudge.wait(0, inspectEveryMs, stop);
    if (!stop.aborted) await inspect(inspecting);
  };
  opened.use(openLoop('inspect', look, { everyMs: 0, onTrouble: report.trouble }));
}
