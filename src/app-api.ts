/** Composition of the api role: the HTTP server, and the stages that its routes run. */
import packageJson from '../package.json' with { type: 'json' };
import type { Common } from './app.ts';
import { bindEmails } from './app-emails.ts';
import { openPressure } from './app-pressure.ts';
import { cpuMs, entropy, monotonicNow, newId, now, ownNow } from './chance.ts';
import { readUnsubscribeToken } from './domain/unsubscribe.ts';
import { listRoutes } from './http/routes.ts';
import { buildServer, closeServer } from './http/server.ts';
import { heartbeatMs } from './http/sse.ts';
import { makeVerify } from './outbound/smtp-verify.ts';
import { openWebhookClient } from './outbound/webhook-client.ts';
import { accept, recall } from './pipeline/accept.ts';
import { addRecipients } from './pipeline/add-recipients.ts';
import { buildPayloads } from './pipeline/build-payloads.ts';
import { collectLevels } from './pipeline/collect-levels.ts';
import { findHoldUps } from './pipeline/find-hold-ups.ts';
import { listRecipients } from './pipeline/list-recipients.ts';
import { locateEmail } from './pipeline/locate-email.ts';
import { pause, resume } from './pipeline/pause.ts';
import { readEvents } from './pipeline/read-events.ts';
import { render } from './pipeline/render.ts';
import { replay } from './pipeline/replay.ts';
import { reportTransports } from './pipeline/report-transports.ts';
import { testWebhook } from './pipeline/test-webhook.ts';
import { unsubscribe } from './pipeline/unsubscribe.ts';
import { verify } from './pipeline/verify.ts';
import { openDeliverQueues } from './queue/deliver-queue.ts';
import { queuePrefix } from './store/keys.ts';
import { isRedisTrouble } from './store/redis.ts';
import { openTemplating } from './templating/templating.ts';

/** Opens the server; it listens only after `listen`, which returns its URL. */
export async function openApi(common: Common): Promise<{ listen(): Promise<string> }> {
  const { config, report, meters, apiKey, plans, links, tokensOf, seenRedis, stopping, deadline, opened } = common;
  const { connect, openStore } = common;
  const store = await openStore(await connect('fail_fast'));
  const onTrouble = report.trouble;
  const { emails, eventFeed, transportStates, allotments, budgets } = store;
  const deliverQueues = opened.use(
    openDeliverQueues({ redis: await connect('fail_fast', 'queue'), prefix: queuePrefix }),
  );
  const pressure = openPressure(common, { store, deliverQueues });
  const client = opened.use(openWebhookClient({ ...config.posting.client, now: monotonicNow }));
  const transportDeps = { plans, transportStates, allotments, budgets, now };
  const collecting = collectLevels.bind(null, {
    ...store,
    ...transportDeps,
    ...config.feeding,
    deliverQueues,
    onTrouble,
  });
  const reporting = reportTransports.bind(null, transportDeps);
  const limits = {
    maxAttachmentBytes: config.MAX_ATTACHMENT_BYTES,
    routes: () => Object.keys(plans.plan.routes),
    canUnsubscribe: config.publicUrl !== null || config.NODE_ENV !== 'production',
    now,
  };
  const templating = openTemplating({ now: monotonicNow, cpuMs });
  const { emailsAnywhere, ...bound } = bindEmails({ report }, store, templating);
  const shared = { ...store, templating, pressure, seenRedis, policies: config.policies, limits, newId, entropy, now };
  const server = await buildServer({
    ...shared,
    ...listRoutes({
      ...shared,
      ...bound,
      emails: emailsAnywhere,
      render: render.bind(null, { ...limits, templates: store.templates, templating }),
      accept: accept.bind(null, { emails, report: report.accepted, newId, now }),
      addRecipients: addRecipients.bind(null, { ...store, newId, now }),
      listRecipients: listRecipients.bind(null, store),
      recall: recall.bind(null, { emails }),
      readEvents: readEvents.bind(null, { eventFeed, emails }),
      heartbeatMs,
      onTrouble,
      replay: replay.bind(null, { ...store, now }),
      buildPayloads: buildPayloads.bind(null, store),
      testWebhook: testWebhook.bind(null, { client, newId, now, ownNow }),
      locateEmail: locateEmail.bind(null, { ...store, ...transportDeps, deliverQueues, reportTransports: reporting }),
      findHoldUps: findHoldUps.bind(null, { ...store, reportTransports: reporting, now }),
      transports: {
        reportTransports: reporting,
        verify: verify.bind(null, {
          ...transportDeps,
          tryOut: makeVerify(stopping, { ehloName: config.ehloName, tokensOf, now: monotonicNow }),
        }),
        pause: pause.bind(null, transportDeps),
        resume: resume.bind(null, transportDeps),
      },
      reportUnsuppressed: report.unsuppressed,
      reportCampaign: report.campaign,
      subscriptionOf: (token) => readUnsubscribeToken(token, links.key),
      unsubscribe: unsubscribe.bind(null, { ...store, ...bound, emails: emailsAnywhere, newId, now }),
      renderMetrics: async () => meters.render(await collecting()),
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
  opened.defer(() => closeServer(server, deadline.begin()));
  return { listen: () => server.listen({ host: config.HOST, port: config.PORT }) };
}
