/** The HTTP server in a test's own process, with the routes and stores that the test gives it. */
import { buildServer, type ServerDeps } from '../../src/http/server.ts';
import { testApiKey } from './postrider.ts';
import { unused } from './unused.ts';

export function buildTestServer(given: Partial<ServerDeps>): ReturnType<typeof buildServer> {
  return buildServer({
    ...{ api: [], open: [], version: '0', adminToken: testApiKey },
    ...{ apiKeys: { find: unused }, rateLimits: { take: unused } },
    ...{ pressure: { passed: null }, isDraining: () => false, isStoreTrouble: () => false },
    ...{ newRequestId: () => 'rq_1', onBug() {}, report() {}, now: () => 0 },
    ...given,
  });
}
