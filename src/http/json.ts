/** Reads a JSON body strictly: what JSON.parse would accept silently, or what would exhaust us, is a fault that says what is wrong and where. */
import { isUtf8 } from 'node:buffer';
import { endOfBytes, type LongFile, readLongFile, withBase64 } from './json-bytes.ts';
import { findJsonFault, findMalformedUtf8, type JsonLimits } from './json-fault.ts';

/**
 * 1,000 emails with 50 named recipients and 50 tags each have 300,000 values. 40 MB can hold 13,000,000 empty objects, which take 700 MB.
 * 500,000 distinct names in one object would block the process for seconds; the longest object that any route takes, the variables of an email,
 * has at most 32,000. A file written as a list of bytes is one value.
 */
export const jsonLimits: JsonLimits = { depth: 32, values: 500_000, members: 50_000 };

type JsonReading = { readonly value: unknown } | { readonly fault: string };

const quote = 0x22;
const comma = 0x2c;
const colon = 0x3a;
const openBracket = 0x5b;
const backslash = 0x5c;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

/**
 * Scans the structure, runs JSON.parse, then counts the keys of the result. Only a body with a fault is read again, to find the place. A byte
 * order mark is ignored, as RFC 8259 section 8.1 allows. A long file that is written as a list of bytes comes back in base64.
 */
export function readJson(body: Buffer): JsonReading {
  const bytes = body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf ? body.subarray(3) : body;
  if (!isUtf8(bytes)) return { fault: findMalformedUtf8(bytes) };
  const text = bytes.toString();
  const files: LongFile[] = [];
  const members = countMembers(text, files);
  const parsed = members === null ? null : tryParse(withBase64(text, files));
  const ofFiles = files.reduce((sum, file) => sum + file.members, 0);
  // A duplicate member is in the text but missing in the value, however its name was escaped.
  if (parsed !== null && countKeys(parsed.value) + ofFiles === members) return parsed;
  return { fault: findJsonFault(text, jsonLimits) ?? 'The body is not valid JSON' };
}

function tryParse(text: string): { value: unknown } | null {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return null;
  }
}

/** Members counted in the objects that are open, by depth. */
const ownMembers = new Int32Array(jsonLimits.depth + 1);

/**
 * The number of members of all objects in the text: its colons outside of strings. Null when a limit is passed. The limits are checked before
 * JSON.parse builds anything: 40 MB of `[` would become gigabytes of arrays. For a text that is not JSON the number means nothing.
 * @param files gets the long files that are found
 */
function countMembers(text: string, files: LongFile[]): number | null {
  ownMembers[0] = 0;
  let members = 0;
  let values = 0;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case quote:
        at = endOfString(text, at + 1);
        break;
      case colon:
        members++;
        ownMembers[depth] = (ownMembers[depth] ?? 0) + 1;
        if ((ownMembers[depth] ?? 0) > jsonLimits.members) return null;
        break;
      case comma:
        if (++values > jsonLimits.values) return null;
        break;
      case openBrace:
      case openBracket:
        if (++values > jsonLimits.values || ++depth > jsonLimits.depth) return null;
        ownMembers[depth] = 0;
        // The closing bracket of the list is handled next.
        at = Math.max(at, skipFile(text, at, files) - 1);
        break;
      case closeBrace:
      case closeBracket:
        depth--;
        break;
    }
  }
  return members;
}

/** The place of the closing bracket of a list of bytes, or of the opening bracket itself. */
function skipFile(text: string, at: number, files: LongFile[]): number {
  const end = endOfBytes(text, at);
  const file = end === at ? null : readLongFile(text, at, end);
  if (file !== null) files.push(file);
  return end;
}

/** Characters of a string compared one by one before indexOf searches its end: indexOf is faster over many characters and slower over few. */
const fewCharacters = 24;

/**
 * The place of the closing quote; the end of the text when there is none.
 * @param from right after the opening quote
 */
function endOfString(text: string, from: number): number {
  let at = from;
  for (;;) {
    for (const few = Math.min(at + fewCharacters, text.length); at < few; at++) {
      const code = text.charCodeAt(at);
      if (code === quote) return at;
      if (code === backslash) at++;
    }
    const end = text.indexOf('"', at);
    if (end < 0) return text.length;
    let first = end;
    while (first > at && text.charCodeAt(first - 1) === backslash) first--;
    if ((end - first) % 2 === 0) return end;
    at = end + 1;
  }
}

/**
 * The number of keys of all objects in a value, which is no deeper than the limit. NaN, which equals no number, when a key could poison a
 * prototype.
 */
function countKeys(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  let count = 0;
  if (Array.isArray(value)) {
    for (const item of value) if (typeof item === 'object') count += countKeys(item);
    return count;
  }
  // Object.entries takes ten times as long.
  const members = value as Readonly<Record<string, unknown>>;
  for (const key of Object.keys(members)) {
    count += 1;
    if (key === '__proto__') return Number.NaN;
    const child = members[key];
    if (typeof child !== 'object' || child === null) continue;
    if (key === 'constructor' && Object.hasOwn(child, 'prototype')) return Number.NaN;
    count += countKeys(child);
  }
  return count;
}
