/** The filters of templates: those of Liquid whose cost is known. Each is charged for its input before it runs. */
import { filters as all, type Context, type Liquid } from 'liquidjs';
import { escapeHtml } from '../domain/escape-html.ts';
import { charge, chargeSearch, cut, type Search } from './limits.ts';
import { numberOf, textOf } from './values.ts';

type FilterOptions = Exclude<(typeof all)[string], (...args: never[]) => unknown>;
type Handler = FilterOptions['handler'];
type This = ThisParameterType<Handler>;

/** Filters that make a text from a text. */
const onText = [
  'append', 'prepend', 'downcase', 'upcase', 'capitalize', 'strip', 'lstrip', 'rstrip', 'strip_newlines', 'squish', 'strip_html',
  'newline_to_br', 'truncate', 'truncatewords', 'url_encode', 'url_decode', 'slugify', 'number_of_words',
]; // biome-ignore format: one list reads best as one block
/** Filters that search the text for their first argument. */
const onParts = {
  first: ['remove_first', 'replace_first'],
  last: ['remove_last', 'replace_last'],
  every: ['remove', 'replace', 'split'],
} satisfies Record<Search, readonly string[]>;
/** Filters whose result is markup that is not escaped again. */
const onMarkup = ['escape', 'escape_once', 'xml_escape'];
const onNumbers = [
  'abs', 'at_least', 'at_most', 'ceil', 'floor', 'round', 'plus', 'minus', 'times', 'divided_by', 'modulo',
]; // biome-ignore format: one list reads best as one block
/** Filters that look at every item. */
const onLists = [
  'first', 'last', 'size', 'reverse', 'map', 'where', 'reject', 'find', 'find_index', 'has', 'compact', 'uniq', 'slice', 'concat',
]; // biome-ignore format: one list reads best as one block
/** For lists that may contain lists. The library would write out their items as text for each comparison. */
const ownOfLists = { join, sort, sort_natural: sortNatural, sum } satisfies Record<string, Handler>;
const asTheyAre = ['default', 'raw'];

/** The cost of an item in a list, in characters. */
const itemCost = 16;
/** A date costs as much time as this many characters. */
const dateCost = 1_000;
const maxDateLength = 64;
const maxDateFormat = 200;

/**
 * Gives `liquid` these filters and no others.
 * @param isMarkup whether the output is HTML
 */
export function setFilters(liquid: Liquid, isMarkup: boolean): void {
  for (const name of Object.keys(liquid.filters)) delete liquid.filters[name];
  const set = (names: readonly string[], guard: (usual: Handler) => Handler, isRaw = false) => {
    for (const name of names) liquid.registerFilter(name, { handler: guard(usualOf(name)), raw: isRaw });
  };
  set(onText, ofText);
  for (const search of ['first', 'last', 'every'] as const) set(onParts[search], (usual) => ofParts(usual, search));
  set(onMarkup, ofText, true);
  // Otherwise its own markup would be escaped with the text.
  if (isMarkup) liquid.registerFilter('newline_to_br', { handler: breakLines, raw: true });
  set(onNumbers, ofNumbers);
  set(onLists, ofLists);
  set(['date'], ofDates);
  for (const name of asTheyAre) liquid.registerFilter(name, all[name] ?? unknown(name));
  for (const [name, handler] of Object.entries(ownOfLists)) liquid.registerFilter(name, handler);
}

function usualOf(name: string): Handler {
  const options = all[name] ?? unknown(name);
  return typeof options === 'function' ? options : options.handler;
}

function unknown(name: string): never {
  throw new Error(`liquidjs has no filter ${name}`);
}

function ofText(usual: Handler): Handler {
  return function (value, ...args) {
    const given = [value, ...args].map((one) => (typeof one === 'number' ? one : textOf(one, this.context)));
    for (const one of given) charge(this.context, typeof one === 'string' ? one.length : 1);
    const [text, ...rest] = given;
    return usual.call(this, text, ...rest);
  };
}

function ofParts(usual: Handler, search: Search): Handler {
  return ofText(function (given, sought, by, ...rest) {
    const [text, part] = [String(given), String(sought ?? '')];
    if (!chargeSearch(this.context, text, part)) return usual.call(this, given, sought, by, ...rest);
    const pieces = cut(this.context, text, part, search);
    // As in the library: empty pieces at the end are dropped.
    if (usual === all.split) return pieces.slice(0, pieces.findLastIndex((piece) => piece !== '') + 1);
    const between = String(by ?? '');
    charge(this.context, text.length + between.length * pieces.length);
    return pieces.join(between);
  });
}

function breakLines(this: This, value: unknown): string {
  const text = textOf(value, this.context);
  charge(this.context, text.length);
  return escapeHtml(text).replace(/\r?\n/g, '<br />\n');
}

function ofNumbers(usual: Handler): Handler {
  return function (value, ...args) {
    return usual.call(this, numberOf(value), ...args.map(numberOf));
  };
}

/** A text passes unchanged (`size`, `slice`). Only `concat` takes a list as an argument, and it makes a list no deeper. */
function ofLists(usual: Handler): Handler {
  return function (value, ...args) {
    for (const one of [value, ...args]) chargeList(one, this.context);
    return usual.call(this, value, ...args.map((one) => (usual === all.concat ? one : scalarOf(one))));
  };
}

/** Charges for a list with everything inside: a list may contain the same list many times at the price of one item. */
function chargeList(value: unknown, context: Context): void {
  charge(context, itemCost);
  if (Array.isArray(value)) for (const item of value) chargeList(item, context);
}

function scalarOf(value: unknown): unknown {
  return typeof value === 'object' ? null : value;
}

/**
 * Dates that were written before. To write one takes 0.2 ms, since the library asks Intl each time, and the letters of a campaign mostly show
 * the same dates.
 */
const written = new Map<string, unknown>();
const maxWritten = 1_000;

function ofDates(usual: Handler): Handler {
  return function (value, format, zone) {
    charge(this.context, dateCost);
    const [text, form, place] = [value, format, zone].map((one) => (one === undefined ? one : scalarOf(one)));
    const isLong = [text, place].some((one) => typeof one === 'string' && one.length > maxDateLength);
    if (isLong || (typeof form === 'string' && form.length > maxDateFormat)) return text;
    const key = JSON.stringify([text, form, place]);
    const known = written.get(key);
    if (known !== undefined) return known;
    const result: unknown = usual.call(this, text, form, place);
    if (text === 'now' || text === 'today' || String(result).length > maxDateFormat) return result;
    if (written.size === maxWritten) written.clear();
    written.set(key, result);
    return result;
  };
}

function join(this: This, value: unknown, separator: unknown = ' '): string {
  const between = textOf(separator, this.context);
  const texts = listOf(value).map((item) => textOf(item, this.context));
  charge(
    this.context,
    texts.reduce((sum, text) => sum + text.length + between.length, 0),
  );
  return texts.join(between);
}

function* sort(this: This, value: unknown, property?: unknown): Generator<unknown, unknown[]> {
  return yield* sortBy(this.context, value, property, (key) => key);
}

function* sortNatural(this: This, value: unknown, property?: unknown): Generator<unknown, unknown[]> {
  return yield* sortBy(this.context, value, property, (key) => (typeof key === 'string' ? key.toLowerCase() : key));
}

/** Items without a key come last. */
function* sortBy(
  context: Context,
  value: unknown,
  property: unknown,
  fold: (key: string | number) => string | number,
): Generator<unknown, unknown[]> {
  const list = listOf(value);
  charge(context, list.length * itemCost * Math.ceil(Math.log2(list.length + 1)));
  const keyed: { item: unknown; key: string | number }[] = [];
  for (const item of list) {
    const found: unknown = yield memberOf(context, item, property);
    const key = typeof found === 'number' ? found : textOf(found, context);
    charge(context, String(key).length);
    keyed.push({ item, key: fold(key) });
  }
  return keyed.toSorted((a, b) => compare(a.key, b.key)).map(({ item }) => item);
}

function compare(a: string | number, b: string | number): number {
  if (a === b) return 0;
  if (a === '' || b === '') return a === '' ? 1 : -1;
  return a < b ? -1 : 1;
}

function* sum(this: This, value: unknown, property?: unknown): Generator<unknown, number> {
  let total = 0;
  const list = listOf(value);
  charge(this.context, list.length * itemCost);
  for (const item of list) total += numberOf(yield memberOf(this.context, item, property));
  return total;
}

function memberOf(context: Context, item: unknown, property: unknown): unknown {
  if (property === undefined || property === null) return item;
  return context._getFromScope(item, textOf(property, context).split('.'), false);
}

function listOf(value: unknown): readonly unknown[] {
  if (value === null || value === undefined) return [];
  return Array.isArray(value) ? value : [value];
}
