/** The schemas of the document: the generator writes each twice, as it is given (`NameInput`) and as it is answered (`Name`). */
import type { ApiDocument, Schema } from './document.ts';

type Schemas = Readonly<Record<string, Schema>>;

const reference = /"#\/components\/schemas\/(\w+)"/g;
const asGiven = /Input$/;

/** Keeps what the routes refer to, each under its plain name; only where both forms are used and differ does the given one stay `NameInput`. */
export function unifySchemas(document: ApiDocument): ApiDocument {
  const schemas = document.components.schemas ?? {};
  const { paths, webhooks = {} } = document;
  const used = reach([paths, webhooks], schemas);
  const apart = differing(used, schemas);
  const nameOf = (name: string) => (apart.has(name) ? name : name.replace(asGiven, ''));
  const rename = <T>(part: T): T =>
    JSON.parse(JSON.stringify(part).replaceAll(reference, (_, name) => `"#/components/schemas/${nameOf(name)}"`));
  const unified = [...used]
    .map((name): [string, Schema] => [nameOf(name), rename(schemas[name] ?? {})])
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  return {
    ...document,
    paths: rename(paths),
    webhooks: rename(webhooks),
    components: { ...document.components, schemas: Object.fromEntries(unified) },
  };
}

/** Names that `part` refers to, directly or by way of another schema. */
function reach(part: unknown, schemas: Schemas, found = new Set<string>()): Set<string> {
  for (const [, name = ''] of JSON.stringify(part).matchAll(reference)) {
    if (found.has(name)) continue;
    found.add(name);
    reach(schemas[name] ?? {}, schemas, found);
  }
  return found;
}

/** The generator writes what is said of a schema now before, now after what it is. */
function inOrder(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** The given forms that differ from the answered ones, be it only in what they refer to. */
function differing(used: ReadonlySet<string>, schemas: Schemas): Set<string> {
  const apart = new Set<string>();
  const pairs = [...used].filter((name) => asGiven.test(name) && used.has(name.replace(asGiven, '')));
  const shape = (name: string) =>
    JSON.stringify(schemas[name], inOrder).replaceAll(reference, (whole, to) =>
      apart.has(to) ? whole : whole.replace(/Input"$/, '"'),
    );
  const findOne = () => pairs.find((name) => !apart.has(name) && shape(name) !== shape(name.replace(asGiven, '')));
  for (let found = findOne(); found !== undefined; found = findOne()) apart.add(found);
  return apart;
}
