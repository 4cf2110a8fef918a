/** Composition root: the only file that constructs things, in one readable order; what is opened last is closed first. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import packageJson from '../package.json' with { type: 'json' };
import type { Config } from './config.ts';
import { type IdPrefix, makeId } from './domain/id.ts';
import { hashApiKey } from './http/auth.ts';
import { listRoutes } from './http/routes.ts';
import { buildServer } from './http/server.ts';
import { compose } from './outbound/compose.ts';
import { openInboxTransport } from './outbound/inbox-transport.ts';
import { openSmtpTransport } from './outbound/smtp-transport.ts';
import { openWebhookClient } from './outbound/webhook-client.ts';
import { accept } from './pipeline/accept.ts';
import { deliver } from './pipeline/deliver.ts';
import { notify } from './pipeline/notify.ts';
import { post } from './pipeline/post.ts';
import { settle } from './pipeline/settle.ts';
import { sweep } from './pipeline/sweep.ts';
import { openQueue, openWorker } from './queue/jobs.ts';
import { openLoop } from './queue/loop.ts';
import { queuePrefix } from './store/keys.ts';
import { openLocalRedis } from './store/local-redis.ts';
import { openSecrets } from './store/local-secrets.ts';
import { openOutbox } from './store/outbox.ts';
import { isRedisTrouble, openRedis, type RedisPatience } from './store/redis.ts';
import { openStore } from './store/store.ts';
import { openLog } from './telemetry/log.ts';
import { openReports } from './telemetry/report.ts';

export type App = AsyncDisposable & {
  /** Where the API listens; null without the api role. */
  readonly url: string | null;
  readonly apiKey: string;
};

const now = () => Date.now();
const rand = () => Math.random();
const newId = (prefix: IdPrefix) => makeId(prefix, now(), randomBytes(10));
const newIv = () => randomBytes(12);

/** Opens everything `config` asks for. What was opened is closed again when opening fails half-way. */
export async function openApp(config: Config): Promise<App> {
  await using opened = new AsyncDisposableStack();
  const stopping = new AbortController();
  const report = openReports(openLog({ level: config.LOG_LEVEL, isReadable: config.NODE_ENV !== 'production' }));
  const { apiKey, secretKey } = await openSecrets(config.DATA_DIR, {
    apiKey: config.POSTRIDER_API_KEY,
    secretKey: config.SECRET_KEY,
  });
  const redisUrl = config.REDIS_URL ?? opened.use(await openLocalRedis(config.DATA_DIR)).url;
  const connect = async (patience: RedisPatience) =>
    opened.adopt(await openRedis(redisUrl, patience), (redis) => redis.disconnect());

  if (config.ROLES.includes('worker')) await openWork();
  const url = config.ROLES.includes('api') ? await openApi() : null;
  opened.defer(() => stopping.abort());
  const all = opened.move();
  return { url, apiKey, [Symbol.asyncDispose]: () => all.disposeAsync() };

  async function openWork(): Promise<void> {
    const redis = await connect('wait');
    const { emails, webhooks, deliveries, inbox } = opened.use(await openStore(redis, secretKey, newIv));
    const consumer = `${hostname()}-${process.pid}-${newId('rq')}`;
    const outbox = opened.use(await openOutbox(redis, await connect('wait'), consumer, config.WORKER_LOCK));
    const queues = { redis, prefix: queuePrefix };
    const deliverQueue = opened.use(openQueue('deliver', queues));
    const postQueue = opened.use(openQueue('post', queues));
    const captured = { capture: inbox.add, newId: () => newId('mi'), now };
    const transport = opened.use(config.SMTP_URL ? openSmtpTransport(config.SMTP_URL) : openInboxTransport(captured));
    const allowPrivateNetworks = config.WEBHOOK_ALLOW_PRIVATE_NETWORKS ?? config.devInbox;
    const client = opened.use(openWebhookClient({ allowPrivateNetworks }));

    const policy = { scheduleMs: config.RETRY_SCHEDULE, maxAgeMs: config.RETRY_MAX_AGE };
    const settling = settle.bind(null, { emails, policy, report: report.settled, now, rand });
    const delivering = { emails, transport, compose, settle: settling, newId, now };
    const scheduleMs = config.WEBHOOK_SCHEDULE;
    const posting = { outbox, webhooks, emails, deliveries, client, scheduleMs, report: report.posted, now, rand };
    const notifying = { outbox, webhooks, postQueue, now };
    const sweeping = { emails, deliverQueue, olderThanMs: config.SWEEP_INTERVAL, now };

    const { WORKER_CONCURRENCY: concurrency, WORKER_LOCK: lockMs, SHUTDOWN_TIMEOUT: shutdownTimeoutMs } = config;
    const workers = {
      concurrency,
      lockMs,
      shutdownTimeoutMs,
      stopping: stopping.signal,
      onTrouble: report.trouble,
      now,
    };
    opened.use(await openWorker('deliver', (id) => deliver(delivering, id), queues, workers));
    opened.use(await openWorker('post', (id) => post(posting, id), queues, workers));
    opened.use(openLoop('notify', (stop) => notify(notifying, stop), { everyMs: 0, onTrouble: report.trouble }));
    opened.use(openLoop('sweep', () => sweep(sweeping), { everyMs: config.SWEEP_INTERVAL, onTrouble: report.trouble }));
  }

  async function openApi(): Promise<string> {
    const redis = await connect('fail_fast');
    const { emails, webhooks, inbox, ping } = opened.use(await openStore(redis, secretKey, newIv));
    const deliverQueue = opened.use(openQueue('deliver', { redis, prefix: queuePrefix }));
    const accepting = accept.bind(null, { emails, deliverQueue, newId, now });
    const server = await buildServer({
      ...listRoutes({
        ...{ emails, webhooks, inbox, accept: accepting, newId, entropy: randomBytes, now },
        ...{ pingStore: ping, isDraining: () => stopping.signal.aborted, hasDevInbox: config.devInbox },
      }),
      version: packageJson.version,
      apiKeys: [{ id: 'admin', hash: hashApiKey(apiKey) }],
      newRequestId: () => newId('rq'),
      isStoreTrouble: isRedisTrouble,
      onBug: report.bug,
      report: report.request,
    });
    opened.defer(() => server.close());
    return server.listen({ host: config.HOST, port: config.PORT });
  }
}
