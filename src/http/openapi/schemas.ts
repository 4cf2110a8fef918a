/** The schemas of the document. The generator writes each twice: as input (`NameInput`) and as output (`Name`). */
import type { ApiDocument, Schema } from './document.ts';

type Schemas = Readonly<Record<string, Schema>>;

const reference = /"#\/components\/schemas\/(\w+)"/g;
const asGiven = /Input$/;

/** Keeps the schemas that routes refer to, each under its plain name. `NameInput` stays only when both forms are used and differ. */
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

/** The names that `part` refers to, directly or through another schema. */
export function reach(part: unknown, schemas: Schemas, found = new Set<string>()): Set<string> {
  for (const [, name = ''] of JSON.stringify(part).matchAll(reference)) {
    if (found.has(name)) continue;
    found.add(name);
    reach(schemas[name] ?? {}, schemas, found);
  }
  return found;
}

/** The generator writes the description of a schema sometimes before and sometimes after its type, so members are sorted. */
function inOrder(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** The input forms that differ from the output forms, if only in what they refer to. */
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
