/** Composition of the api role: the HTTP server with what each of its routes runs. */
import packageJson from '../package.json' with { type: 'json' };
import type { Ground } from './app.ts';
import { bindEmails } from './app-emails.ts';
import { entropy, newId, now, ownNow } from './chance.ts';
import { readUnsubscribeToken } from './domain/unsubscribe.ts';
import { listRoutes } from './http/routes.ts';
import { buildServer, closeServer } from './http/server.ts';
import { heartbeatMs } from './http/sse.ts';
import { makeVerify } from './outbound/smtp-verify.ts';
import { openWebhookClient } from './outbound/webhook-client.ts';
import { accept, recall } from './pipeline/accept.ts';
import { enlist } from './pipeline/enlist.ts';
import { gauge, type Pressure } from './pipeline/gauge.ts';
import { measure } from './pipeline/measure.ts';
import { muster } from './pipeline/muster.ts';
import { pause, resume } from './pipeline/pause.ts';
import { recount } from './pipeline/recount.ts';
import { rehearse } from './pipeline/rehearse.ts';
import { render } from './pipeline/render.ts';
import { replay } from './pipeline/replay.ts';
import { restate } from './pipeline/restate.ts';
import { survey } from './pipeline/survey.ts';
import { unsubscribe } from './pipeline/unsubscribe.ts';
import { verify } from './pipeline/verify.ts';
import { whereabouts } from './pipeline/whereabouts.ts';
import { openDeliverQueues } from './queue/deliver-queue.ts';
import { openLoop } from './queue/loop.ts';
import { queuePrefix } from './store/keys.ts';
import { isRedisTrouble } from './store/redis.ts';
import { openTemplating } from './templating/templating.ts';

/** Opened before it listens; `listen` says where. */
export async function openApi({
  config,
  report,
  meters,
  apiKey,
  plans,
  links,
  tokensOf,
  seenRedis,
  stopping,
  connect,
  openStore,
  opened,
}: Ground): Promise<{ listen(): Promise<string> }> {
  const redis = await connect('fail_fast');
  const store = await openStore(redis);
  const { emails, due, eventFeed, memory, transportStates, allotments, budgets } = store;
  const deliverQueues = opened.use(
    openDeliverQueues({ redis: await connect('fail_fast', 'queue'), prefix: queuePrefix }),
  );
  const pressure: Pressure = { overLine: null };
  const gauged = { due, deliverQueues, memory, lines: config.lines, seenRedis };
  const gauging = { ...gauged, pressure, report: report.backPressure, now };
  opened.use(openLoop('gauge', () => gauge(gauging), { everyMs: 1_000, onTrouble: report.trouble }));
  const client = opened.use(openWebhookClient(config.posting.client));
  const fleet = { plans, transportStates, allotments, budgets, now };
  const measuring = measure.bind(null, {
    ...store,
    ...fleet,
    ...config.feeding,
    deliverQueues,
    onTrouble: report.trouble,
  });
  const surveying = survey.bind(null, fleet);
  const limits = {
    maxAttachmentBytes: config.MAX_ATTACHMENT_BYTES,
    routes: () => Object.keys(plans.plan.routes),
    canUnsubscribe: config.publicUrl !== null || config.NODE_ENV !== 'production',
    now,
  };
  const templating = openTemplating();
  const found = bindEmails({ report }, store, templating);
  const shared = { ...store, templating, pressure, seenRedis, policies: config.policies, limits, newId, entropy, now };
  const server = await buildServer({
    ...shared,
    ...listRoutes({
      ...shared,
      ...found,
      render: render.bind(null, { ...limits, templates: store.templates, templating }),
      accept: accept.bind(null, { emails, report: report.accepted, newId, now }),
      enlist: enlist.bind(null, { ...store, newId, now }),
      muster: muster.bind(null, store),
      recall: recall.bind(null, { emails }),
      recount: recount.bind(null, { eventFeed, emails }),
      heartbeatMs,
      onTrouble: report.trouble,
      replay: replay.bind(null, { ...store, now }),
      restate: restate.bind(null, store),
      rehearse: rehearse.bind(null, { client, newId, now, ownNow }),
      whereabouts: whereabouts.bind(null, { ...store, ...fleet, deliverQueues, survey: surveying }),
      transports: {
        survey: surveying,
        verify: verify.bind(null, { ...fleet, tryOut: makeVerify(stopping, { ehloName: config.ehloName, tokensOf }) }),
        pause: pause.bind(null, fleet),
        resume: resume.bind(null, fleet),
      },
      reportUnsuppressed: report.unsuppressed,
      subscriptionOf: (token) => readUnsubscribeToken(token, links.key),
      unsubscribe: unsubscribe.bind(null, { ...store, ...found, newId, now }),
      renderMetrics: async () => meters.render(await measuring()),
      isDraining: () => stopping.aborted,
      isFileWrong: () => plans.isFileWrong,
      hasDevInbox: config.devInbox,
    }),
    version: packageJson.version,
    bodyBytes: config.API_BODY_BYTES,
    adminToken: apiKey,
    isDraining: () => stopping.aborted,
    newRequestId: () => newId('rq'),
    isStoreTrouble: isRedisTrouble,
    onBug: report.bug,
    report: report.request,
  });
  opened.defer(() => closeServer(server, config.SHUTDOWN_TIMEOUT));
  return { listen: () => server.listen({ host: config.HOST, port: config.PORT }) };
}
