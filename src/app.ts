/** Composition root: opens what all roles share, then the roles of this process. What is opened last is closed first. */
import { openConnections } from './app-connections.ts';
import { watchRedis } from './app-redis.ts';
import { openStart } from './app-start.ts';
import { entropy, monotonicNow, newIv, now, ownNow } from './chance.ts';
import { type Deadline, makeDeadline } from './concurrency/deadline.ts';
import type { Nudge } from './concurrency/nudge.ts';
import type { Config } from './config.ts';
import { type LinkMaker, unsubscribeKey } from './domain/unsubscribe.ts';
import { openTokenBook, type TokenBook } from './outbound/oauth-tokens.ts';
import { openPlans, type Plans } from './outbound/plans.ts';
import { openTokenKeeper } from './outbound/refresh-tokens.ts';
import type { Unsaved } from './pipeline/abandon-redis.ts';
import type { SeenRedis } from './pipeline/check-redis.ts';
import { openSecrets } from './store/local-secrets.ts';
import { openAccessTokens, openRefreshTokens } from './store/oauth-tokens.ts';
import { type openRedis, type RedisPatience, type RedisUse, redisTroubleOf } from './store/redis.ts';
import { openStore } from './store/store.ts';
import { openLog } from './telemetry/log.ts';
import { type Meters, openMeters } from './telemetry/meters.ts';
import { openReports, type Reports } from './telemetry/report.ts';

export type App = AsyncDisposable & {
  /** Where the API listens; null without the api role. */
  readonly url: string | null;
  /** Where a worker without the API answers health checks; null when `HEALTH_PORT` is not set. */
  readonly healthUrl: string | null;
  readonly apiKey: string;
  /** Reads again what may change while it runs: `TRANSPORTS_FILE`. */
  reload(): Promise<void>;
  /** Logs that the process ends, and returns what only this process knew. */
  tellStopped(): Readonly<Unsaved>;
  /** Where the process is not closed but ended: stops what would live on, a local Redis that nobody else uses. */
  abandon(): Promise<void>;
};

/** What all roles have in common: opened once, before any of them. */
export type Common = {
  readonly config: Config;
  readonly report: Reports;
  readonly meters: Meters;
  readonly apiKey: string;
  readonly plans: Plans;
  /** Makes unsubscribe links. */
  readonly links: LinkMaker;
  /** Access tokens by account, shared by all logins of this process. */
  readonly tokensOf: TokenBook;
  /** Aborted when the process begins to stop. */
  readonly stopping: AbortSignal;
  /** The time by which work in hand must end at a stop: one deadline for everything that is closed. */
  readonly deadline: Deadline;
  readonly seenRedis: SeenRedis;
  readonly writeRefused: Nudge;
  readonly unsaved: Unsaved;
  /** Aborted to end every wait for Redis. */
  readonly cut: AbortController;
  /** A connection of its own; closed with the app. */
  connect(patience: RedisPatience, use?: RedisUse): ReturnType<typeof openRedis>;
  openStore(redis: Awaited<ReturnType<typeof openRedis>>): ReturnType<typeof openStore>;
  /** Holds what a role opens, in order. */
  readonly opened: AsyncDisposableStack;
};

/**
 * Opens everything `config` asks for. When opening fails half-way, what was opened is closed again.
 * @param cut aborted to give up opening: it may wait long for a Redis that loads its data
 */
export async function openApp(config: Config, cut: AbortController): Promise<App> {
  await using opened = new AsyncDisposableStack();
  const stopping = new AbortController();
  const meters = openMeters();
  const isReadable = config.NODE_ENV === 'development';
  const log = await openLog({ level: config.LOG_LEVEL, isReadable, onDropped: meters.lineDropped, now: monotonicNow });
  const report = openReports(log, meters, { now, monotonicNow }, redisTroubleOf);
  const hasApi = config.ROLES.includes('api');
  const { apiKey, secretKey } = await openSecrets(config.DATA_DIR, entropy, {
    // Without the API no request has a key to check, so none is made.
    apiKey: hasApi ? config.POSTRIDER_API_KEY : '',
    secretKey: config.SECRET_KEY,
  });
  const { SMTP_URL, TRANSPORTS_FILE: file, variable } = config;
  const plans = opened.use(await openPlans({ url: SMTP_URL, file, variable, report: report.plan }));
  const start = opened.use(openStart({ config, report, meters, cut: cut.signal }));
  const { connect, writeRefused, abandon } = await openConnections(config, { start, cut: cut.signal, opened });
  const sharedRedis = await connect('fail_fast');
  const tokenTerms = { onTrouble: report.trouble, onStored: report.tokenStored, now: monotonicNow };
  const refreshTokens = opened.use(openTokenKeeper(openRefreshTokens(sharedRedis, secretKey, newIv), tokenTerms));
  const accessTokens = openAccessTokens(sharedRedis, secretKey, newIv);
  const common: Common = {
    config,
    report,
    meters,
    apiKey,
    plans,
    links: { publicUrl: config.publicUrl, key: unsubscribeKey(secretKey) },
    tokensOf: openTokenBook({ refreshTokens, accessTokens }, { now: monotonicNow, date: ownNow }),
    stopping: stopping.signal,
    deadline: makeDeadline(config.SHUTDOWN_TIMEOUT),
    seenRedis: { standing: null },
    writeRefused,
    unsaved: { emails: new Set(), posts: 0 },
    cut,
    connect,
    openStore: (redis) => start.awaits(() => openStore(redis, secretKey, newIv)),
    opened,
  };
  const watch = await watchRedis(common, sharedRedis, start);
  // A process loads only the code of its own roles: that saves half of the start time and tens of megabytes.
  const health =
    hasApi || config.HEALTH_PORT === undefined ? null : await (await import('./app-health.ts')).openHealth(common);
  if (config.ROLES.includes('worker')) await (await import('./app-worker.ts')).openWorkers(common);
  const api = hasApi ? await (await import('./app-api.ts')).openApi(common) : null;
  await start[Symbol.asyncDispose]();
  const urls = { url: (await api?.listen()) ?? null, healthUrl: (await health?.listen(config.HEALTH_PORT)) ?? null };
  opened.defer(() => stopping.abort());
  const close = watch.close.bind(null, opened.move());
  const { tellStopped } = watch;
  return { ...urls, apiKey, reload: plans.reload, tellStopped, abandon, [Symbol.asyncDispose]: close };
}
