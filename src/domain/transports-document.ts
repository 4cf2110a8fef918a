/** Turns the maps, lists and texts of `TRANSPORTS_FILE` into a plan, or into all of its faults with their places. */
import { parseDomain } from './address.ts';
import { type DocumentFault, entriesOf, fieldsOf, type Given, itemsOf, refuse, textOf } from './document.ts';
import type { FileRead } from './fill.ts';
import { lanes } from './lane.ts';
import { readTransport } from './transport-document.ts';
import { type Field, fields, wholeNumber } from './transport-fields.ts';
import { defaultReserve, defaultRoute, type Route, type Rule, recordOf, type TransportPlan } from './transport-plan.ts';

/** @param file reads a file that the document names, by its path as written there */
export function readTransportsDocument(
  document: unknown,
  file: (path: string) => FileRead,
): TransportPlan | { readonly faults: readonly DocumentFault[] } {
  const faults: DocumentFault[] = [];
  const top: Given = { value: document, path: [], faults };
  const given = fieldsOf(top, ['transports', 'routes', 'rules']);
  if (given === null) return { faults };
  const transports = namedOf(given.transports ?? missing(top, 'transports'), 'transports by their names', (name, one) =>
    readTransport(name, one, file),
  );
  const names = Object.keys(transports);
  const routes = namedOf(given.routes, 'routes by their names', (_, route) => readRoute(route, names));
  if (!Object.hasOwn(routes, defaultRoute)) {
    const [only, ...others] = names;
    if (only !== undefined && others.length === 0)
      routes[defaultRoute] = { kind: 'failover', transports: [only], reserve: defaultReserve };
    else if (only !== undefined)
      refuse(given.routes ?? top, `has no route ${defaultRoute}, which is needed with more than one transport`);
  }
  const routeNames = Object.keys(routes);
  const items = given.rules === undefined ? [] : itemsOf(given.rules, 'a list of rules');
  const rules = (items ?? []).map((rule) => readRule(rule, routeNames));
  if (faults.length > 0) return { faults };
  return {
    transports: recordOf(present(transports)),
    routes: recordOf(present(routes)),
    rules: rules.filter((rule) => rule !== null),
  };
}

/** Replaces a required value that is missing. */
function missing(parent: Given, key: string): undefined {
  refuse(parent, `has no ${key}`);
}

/** A faulty entry stays as null: its name exists, so a reference to it is no fault. */
function namedOf<T>(
  given: Given | undefined,
  expected: string,
  read: (name: string, one: Given) => T | null,
): Record<string, T | null> {
  const found: Record<string, T | null> = Object.create(null);
  if (given === undefined) return found;
  const entries = entriesOf(given, `a map of ${expected}`) ?? [];
  if (entries.length === 0) refuse(given, `expected a map of ${expected}`);
  for (const [name, one] of entries) {
    if (fields.name.parse(name) === null) refuse(one, `has a bad name: expected ${fields.name.expected}`, 'key');
    found[name] = read(name, one);
  }
  return found;
}

function* present<T>(found: Record<string, T | null>): Generator<[string, T]> {
  for (const [name, one] of Object.entries(found)) if (one !== null) yield [name, one];
}

/** Up to 90 %: bulk mail must not starve. */
const share: Field<number> = {
  expected: 'a share from 0% to 90%',
  parse(text) {
    const [, digits] = /^(\d{1,2})\s?%$/.exec(text) ?? [];
    return digits === undefined || Number(digits) > 90 ? null : Number(digits) / 100;
  },
};

/** 0: used only when the others cannot take the mail. */
const weight = wholeNumber(0, 1_000_000);

function readRoute(given: Given, transports: readonly string[]): Route | null {
  const known = fieldsOf(given, ['failover', 'weighted', 'reserve_for_transactional']);
  if (known === null) return null;
  const { failover, weighted } = known;
  const read = textOf(known.reserve_for_transactional, share);
  const reserve = read ?? defaultReserve;
  if ((failover === undefined) === (weighted === undefined)) return refuse(given, 'expected one of failover, weighted');
  if (failover !== undefined) {
    const names = itemsOf(failover, 'a list of transports')?.map((item) => readName(item, 'transport', transports));
    if (names?.length === 0) refuse(failover, 'expected a list of transports');
    if (names !== undefined && new Set(names).size < names.length && !names.includes(null))
      refuse(failover, 'has a transport more than once');
    return names === undefined
      ? null
      : { kind: 'failover', transports: names.filter((name) => name !== null), reserve };
  }
  return weighted === undefined ? null : readWeights(weighted, transports, reserve);
}

function readWeights(given: Given, transports: readonly string[], reserve: number): Route | null {
  const expected = 'a map of transports with their weights';
  const entries = entriesOf(given, expected);
  if (entries === null) return null;
  const weights = entries.map(([name, value]): [string, number | null] => {
    if (!transports.includes(name)) refuse(value, unknownName('transport', transports), 'key');
    return [name, textOf(value, weight)];
  });
  if (!weights.some(([, count]) => count !== 0)) refuse(given, `expected ${expected}, one above 0`);
  return { kind: 'weighted', weights: recordOf(weights.map(([name, count]) => [name, count ?? 0])), reserve };
}

/** Reads a name from a list of the names that exist. */
function readName(given: Given | undefined, what: string, names: readonly string[]): string | null {
  const parse = (text: string) => (names.includes(text) ? text : null);
  if (given === undefined) return null;
  const name = typeof given.value === 'string' ? parse(given.value) : null;
  return name ?? refuse(given, unknownName(what, names));
}

function unknownName(what: string, names: readonly string[]): string {
  const known = names.filter((name) => fields.name.parse(name) !== null);
  return `names no ${what} of this file: expected ${known.length > 0 ? known.join(', ') : 'one, and it has none'}`;
}

const lane: Field<(typeof lanes)[number]> = {
  expected: lanes.join(' or '),
  parse: (text) => lanes.find((lane) => lane === text) ?? null,
};

const fromDomain: Field<string> = {
  expected: 'a host name such as shop.example',
  parse(text) {
    const domain = parseDomain(text);
    return typeof domain === 'string' ? domain : null;
  },
};

const tagValue: Field<string> = { expected: 'the value of the tag', parse: (text) => text || null };

function readRule(given: Given, routes: readonly string[]): Rule | null {
  const known = fieldsOf(given, ['when', 'route']);
  if (known === null) return null;
  if (known.route === undefined) refuse(given, 'has no route');
  const route = readName(known.route, 'route', routes);
  const when = known.when === undefined ? refuse(given, 'has no when') : readWhen(known.when);
  return route === null || when === null ? null : { when, route };
}

/** A rule without a condition would match everything and hide the rules below it. */
function readWhen(given: Given): Rule['when'] | null {
  const known = fieldsOf(given, ['lane', 'from_domain', 'tag']);
  if (known === null) return null;
  if (Object.keys(known).length === 0) return refuse(given, 'expected one or more of lane, from_domain, tag');
  const ofLane = textOf(known.lane, lane);
  const domain = textOf(known.from_domain, fromDomain);
  const entries = known.tag === undefined ? [] : entriesOf(known.tag, 'a map of tags with their values');
  if (known.tag !== undefined && entries?.length === 0) refuse(known.tag, 'expected a map of tags with their values');
  const tags = (entries ?? []).map(([name, value]): [string, string] => [name, textOf(value, tagValue) ?? '']);
  return {
    ...(ofLane === null ? {} : { lane: ofLane }),
    ...(domain === null ? {} : { fromDomain: domain }),
    tags: recordOf(tags),
  };
}
