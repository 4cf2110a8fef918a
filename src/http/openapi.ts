/** The OpenAPI document, made from the routes without opening anything. */
import type { ApiDocument } from './openapi/document.ts';
import { listRoutes } from './routes.ts';
import { buildServer } from './server.ts';

/** Never called: describing routes runs none of them. */
function unused(): never {
  throw new Error('describing the API ran a route');
}

const noPolicy = { scheduleMs: [], maxAgeMs: 0 };

/** OpenAPI 3.1 as an object. */
export async function describeApi(version: string): Promise<ApiDocument> {
  const pressure = { overLine: null };
  const routes = listRoutes({
    emails: { load: unused, read: unused, find: unused, timeline: unused, facts: unused },
    eventFeed: { newest: unused, watch: unused },
    recount: unused,
    heartbeatMs: 0,
    onTrouble: unused,
    webhooks: { add: unused, get: unused, list: unused, remove: unused },
    suppressions: { add: unused, get: unused, remove: unused, page: unused, all: unused },
    reportUnsuppressed: unused,
    subscriptionOf: unused,
    unsubscribe: unused,
    creations: { begin: unused, end: unused },
    transports: { survey: unused, verify: unused, pause: unused, resume: unused },
    apiKeys: { add: unused, get: unused, page: unused, rename: unused, revoke: unused },
    inbox: { list: unused, get: unused, watch: unused, clear: unused },
    accept: unused,
    recall: unused,
    change: unused,
    whereabouts: unused,
    policies: { transactional: noPolicy, bulk: noPolicy },
    limits: { maxAttachmentBytes: 0, routes: unused, canUnsubscribe: true, now: unused },
    newId: unused,
    entropy: unused,
    now: unused,
    ping: unused,
    pressure,
    renderMetrics: unused,
    isDraining: unused,
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
  return server.swagger() as object as ApiDocument;
}
