/** Composition root: the only file that constructs things, in one readable order; what is opened last is closed first. */
import { hostname } from 'node:os';
import packageJson from '../package.json' with { type: 'json' };
import { entropy, newId, newIv, now, rand } from './chance.ts';
import type { Config } from './config.ts';
import { listRoutes } from './http/routes.ts';
import { buildServer } from './http/server.ts';
import { openAttachmentClient } from './outbound/attachment-client.ts';
import { compose } from './outbound/compose.ts';
import { openInboxTransport } from './outbound/inbox-transport.ts';
import { makePlaces } from './outbound/places.ts';
import { openSmtpTransport } from './outbound/smtp-transport.ts';
import { openWebhookClient } from './outbound/webhook-client.ts';
import { accept, recall } from './pipeline/accept.ts';
import { deliver } from './pipeline/deliver.ts';
import { feed } from './pipeline/feed.ts';
import { gather } from './pipeline/gather.ts';
import { gauge, type Pressure } from './pipeline/gauge.ts';
import { notify } from './pipeline/notify.ts';
import { post } from './pipeline/post.ts';
import { settle, settleChange } from './pipeline/settle.ts';
import { openDeliverQueues, openQueue, openWorker, whereabouts } from './queue/jobs.ts';
import { openLoop } from './queue/loop.ts';
import { openBell } from './store/bell.ts';
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

/** Opens everything `config` asks for. What was opened is closed again when opening fails half-way. */
export async function openApp(config: Config): Promise<App> {
  await using opened = new AsyncDisposableStack();
  const { policies } = config;
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
    const { emails, webhooks, deliveries, inbox } = await openStore(redis, secretKey, newIv);
    const consumer = `${hostname()}-${process.pid}-${newId('rq')}`;
    const outbox = opened.use(await openOutbox(redis, await connect('wait'), consumer, config.WORKER_LOCK));
    const queues = { redis, prefix: queuePrefix };
    const deliverQueues = opened.use(openDeliverQueues(queues));
    const postQueue = opened.use(openQueue('post', queues));
    const captured = { capture: inbox.add, newId: () => newId('mi'), now };
    const transport = opened.use(config.SMTP_URL ? openSmtpTransport(config.SMTP_URL) : openInboxTransport(captured));
    const client = opened.use(openWebhookClient({ allowPrivateNetworks: config.webhooksMayGoPrivate }));
    const files = opened.use(openAttachmentClient({ allowPrivateNetworks: config.ATTACHMENT_ALLOW_PRIVATE_NETWORKS }));
    const gathering = gather.bind(null, { emails, client: files, maxBytes: config.MAX_ATTACHMENT_BYTES });
    const settling = settle.bind(null, { emails, policies, report: report.settled, now, rand });
    const rooms = { transactional: makePlaces(config.WORKER_MAIL_BYTES), bulk: makePlaces(config.WORKER_MAIL_BYTES) };
    const delivering = { emails, transport, rooms, gather: gathering, compose, settle: settling, newId, now };
    const scheduleMs = config.WEBHOOK_SCHEDULE;
    const posting = { outbox, webhooks, emails, deliveries, client, scheduleMs, report: report.posted, now, rand };
    const notifying = { outbox, webhooks, postQueue, now };
    const feeding = { emails, bell: opened.use(openBell(await connect('wait'))), deliverQueues, now };

    const workers = { ...config.workers, stopping: stopping.signal, onTrouble: report.trouble, now };
    opened.use(await openWorker('deliver', (id) => deliver(delivering, id), queues, workers));
    opened.use(await openWorker('deliver_bulk', (id) => deliver(delivering, id), queues, workers));
    opened.use(await openWorker('post', (id) => post(posting, id), queues, workers));
    opened.use(openLoop('notify', (stop) => notify(notifying, stop), { everyMs: 0, onTrouble: report.trouble }));
    opened.use(openLoop('feed', (stop) => feed(feeding, stop), { everyMs: 0, onTrouble: report.trouble }));
  }

  async function openApi(): Promise<string> {
    const redis = await connect('fail_fast');
    const store = await openStore(redis, secretKey, newIv);
    const { emails, memory } = store;
    const deliverQueues = opened.use(openDeliverQueues({ redis, prefix: queuePrefix }));
    const pressure: Pressure = { overLine: null };
    const gauging = { emails, deliverQueues, memory, lines: config.lines, pressure, report: report.backPressure, now };
    opened.use(openLoop('gauge', () => gauge(gauging), { everyMs: 1_000, onTrouble: report.trouble }));
    const limits = { maxAttachmentBytes: config.MAX_ATTACHMENT_BYTES, routes: () => ['default'], now };
    const shared = { ...store, pressure, policies, limits, newId, entropy, now };
    const server = await buildServer({
      ...shared,
      ...listRoutes({
        ...shared,
        accept: accept.bind(null, { emails, newId, now }),
        recall: recall.bind(null, { emails }),
        change: settleChange.bind(null, { emails, report: report.settled, newId, now }),
        whereabouts: whereabouts.bind(null, deliverQueues),
        isDraining: () => stopping.signal.aborted,
        hasDevInbox: config.devInbox,
      }),
      version: packageJson.version,
      adminToken: apiKey,
      newRequestId: () => newId('rq'),
      isStoreTrouble: isRedisTrouble,
      onBug: report.bug,
      report: report.request,
    });
    opened.defer(() => server.close());
    return server.listen({ host: config.HOST, port: config.PORT });
  }
}
