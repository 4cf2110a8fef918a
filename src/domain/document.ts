/** Reads a document of maps, lists and texts. Each value knows its place, and all faults are collected, instead of stopping at the first. */

import { isObject } from './json-object.ts';
import type { Field } from './transport-fields.ts';

export type Path = readonly (string | number)[];

/** `on` says whether the key or the value at `path` is at fault. The message never repeats a value: it may be a secret. */
export type DocumentFault = { readonly path: Path; readonly on: 'key' | 'value'; readonly message: string };

/** A value and its place. Its faults go to `faults`, which the whole document shares. */
export type Given = { readonly value: unknown; readonly path: Path; readonly faults: DocumentFault[] };

/** Adds a fault. @returns null, which replaces a value that could not be read */
export function refuse({ path, faults }: Given, message: string, on: DocumentFault['on'] = 'value'): null {
  faults.push({ path, on, message });
  return null;
}

/** Reads a map with known keys. A missing member is undefined. Null when it is not a map. */
export function fieldsOf<K extends string>(given: Given, known: readonly K[]): Partial<Record<K, Given>> | null {
  const entries = entriesOf(given, `a map with ${known.join(', ')}`);
  if (entries === null) return null;
  const found: Partial<Record<K, Given>> = {};
  for (const [key, value] of entries) {
    const name = known.find((name) => name === key);
    if (name === undefined) refuse(value, unknownKey(key, known), 'key');
    else found[name] = value;
  }
  return found;
}

/** Without a space after the colon, YAML reads `pass:secret` as one key. */
function unknownKey(key: string, known: readonly string[]): string {
  const joined = known.find((name) => key.startsWith(`${name}:`));
  if (joined !== undefined) return `lacks a space after ${joined}:`;
  return `has an unknown key${isShown(key) ? ` ${key}` : ''}: expected ${known.join(', ')}`;
}

/** Reads a map with any keys; null when it is not a map. */
export function entriesOf(given: Given, expected: string): [key: string, value: Given][] | null {
  if (!isObject(given.value)) return refuse(given, `expected ${expected}`);
  return Object.entries(given.value).map(([key, value]) => [
    key,
    { value, path: [...given.path, key], faults: given.faults },
  ]);
}

/** Reads a list; null when it is not a list. */
export function itemsOf(given: Given, expected: string): Given[] | null {
  const { value, path, faults } = given;
  if (!Array.isArray(value)) return refuse(given, `expected ${expected}`);
  return value.map((item, index) => ({ value: item, path: [...path, index], faults }));
}

/** Reads a text as a field; null when it is missing or not valid. */
export function textOf<T>(given: Given | undefined, field: Field<T>): T | null {
  if (given === undefined) return null;
  const read = typeof given.value === 'string' ? field.parse(given.value) : null;
  return read ?? refuse(given, `expected ${field.expected}`);
}

/** A path such as `transports.ses.connections`. Keys are text of a person, so only those that look like a name are shown. */
export function formatPath(path: Path): string {
  return path.map((part) => (isShown(String(part)) ? part : '?')).join('.');
}

function isShown(key: string): boolean {
  return /^[\w.-]{1,64}$/.test(key);
}
