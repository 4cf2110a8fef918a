/** The OpenAPI document, made from the routes without opening anything. */
import type { PublishedDocument } from './openapi/shared-responses.ts';
import { listRoutes } from './routes.ts';
import { buildServer } from './server.ts';

/** Never called: describing routes runs none of them. */
function unused(): never {
  throw new Error('describing the API ran a route');
}

const noPolicy = { scheduleMs: [], maxAgeMs: 0 };

/** OpenAPI 3.1 as an object. */
export async function describeApi(version: string): Promise<PublishedDocument> {
  const pressure = { passed: null };
  const routes = listRoutes({
    emails: { load: unused, read: unused, find: unused, timeline: unused, facts: unused, lastChange: unused },
    eventFeed: { newest: unused, watch: unused },
    readEvents: unused,
    heartbeatMs: 0,
    onTrouble: unused,
    suppressions: { add: unused, get: unused, byId: unused, remove: unused, page: unused, all: unused },
    reportUnsuppressed: unused,
    reportCampaign: unused,
    subscriptionOf: unused,
    unsubscribe: unused,
    webhooks: { add: unused, get: unused, all: unused, change: unused, remove: unused },
    posts: { failingSince: unused, drop: unused, renew: unused, forgetBatchLimit: unused },
    testWebhook: unused,
    replay: unused,
    buildPayloads: unused,
    deliveries: { page: unused, get: unused, answers: unused },
    events: { find: unused },
    campaigns: {
      add: unused,
      get: unused,
      content: unused,
      page: unused,
      change: unused,
      move: unused,
      remove: unused,
    },
    addRecipients: unused,
    listRecipients: unused,
    retryFailed: unused,
    findInCampaign: unused,
    creations: { begin: unused, end: unused, giveUp: unused },
    transports: { reportTransports: unused, verify: unused, pause: unused, resume: unused },
    apiKeys: { add: unused, get: unused, page: unused, rename: unused, revoke: unused },
    inbox: { list: unused, get: unused, watch: unused, clear: unused },
    templates: {
      add: unused,
      change: unused,
      find: unused,
      content: unused,
      versions: unused,
      page: unused,
      remove: unused,
    },
    templating: { checkSource: unused, compiled: unused, compile: unused, cpuMs: unused, yieldTurn: unused },
    render: unused,
    accept: unused,
    recall: unused,
    change: unused,
    locateEmail: unused,
    findHoldUps: unused,
    policies: { transactional: noPolicy, bulk: noPolicy },
    limits: { maxAttachmentBytes: 0, routes: unused, canUnsubscribe: true, now: unused },
    newId: unused,
    entropy: unused,
    now: unused,
    ping: unused,
    pressure,
    seenRedis: { standing: null },
    renderMetrics: unused,
    isDraining: unused,
    isFileWrong: unused,
    hasDevInbox: false,
  });
  await using server = await buildServer({
    ...routes,
    version,
    adminToken: '',
    apiKeys: { find: unused },
    rateLimits: { take: unused },
    pressure,
    now: unused,
    newRequestId: unused,
    isDraining: () => false,
    isStoreTrouble: unused,
    onBug: unused,
    report: unused,
  });
  return server.swagger() as object as PublishedDocument;
}
