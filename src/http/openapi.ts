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
    inbox: { list: unused, get: unused, watch: unused, clear: unused },
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
  return tidy(server.swagger());
}

type Document = { components?: { schemas?: Record<string, unknown> } };

/**
 * The generator writes each schema twice, as it is given (`NameInput`) and as it is answered (`Name`). What nothing refers to goes, and
 * what is left of a pair takes the plain name.
 */
function tidy(document: object): object {
  const plain: Document = JSON.parse(
    JSON.stringify(document).replaceAll(/(#\/components\/schemas\/\w+?)Input"/g, '$1"'),
  );
  const schemas = plain.components?.schemas ?? {};
  const byName = new Map<string, unknown>();
  for (const [name, schema] of Object.entries(schemas)) byName.set(name.replace(/Input$/, ''), schema);
  const text = JSON.stringify({ ...plain, components: { ...plain.components, schemas: Object.fromEntries(byName) } });
  const used = [...byName]
    .filter(([name]) => text.includes(`#/components/schemas/${name}"`))
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  return { ...plain, components: { ...plain.components, schemas: Object.fromEntries(used) } };
}
