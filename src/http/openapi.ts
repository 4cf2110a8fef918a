/** The OpenAPI document, made from the routes without opening anything. */
import { listRoutes } from './routes.ts';
import { buildServer } from './server.ts';

/** Never called: describing routes runs none of them. */
function unused(): never {
  throw new Error('describing the API ran a route');
}

/** OpenAPI 3.1 as an object. */
export async function describeApi(version: string): Promise<object> {
  const routes = listRoutes({
    emails: { load: unused },
    webhooks: { add: unused, get: unused, list: unused, remove: unused },
    inbox: { list: unused, watch: unused, clear: unused },
    accept: unused,
    newId: unused,
    entropy: unused,
    now: unused,
    pingStore: unused,
    isDraining: unused,
    hasDevInbox: false,
  });
  await using server = await buildServer({
    ...routes,
    version,
    apiKeys: [],
    newRequestId: unused,
    isStoreTrouble: unused,
    onBug: unused,
    report: unused,
  });
  return server.swagger();
}
