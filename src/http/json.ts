/** Reads a JSON body strictly: what JSON.parse would let pass, or what would exhaust us, is a fault that says what is wrong and where. */
import { isUtf8 } from 'node:buffer';
import { endOfBytes, type LongFile, readLongFile, withBase64 } from './json-bytes.ts';
import { findJsonFault, findMalformedUtf8, type JsonLimits } from './json-fault.ts';

/**
 * 1,000 emails with 50 named recipients and 50 tags each come to 300,000 values. 40 MB hold 13,000,000 empty objects, which would take
 * 700 MB; 500,000 distinct names in one object would hold up whoever reads it for seconds, and the longest object that anything here takes,
 * the variables of an email, has room for 32,000. A file as a list of bytes is one value.
 */
export const jsonLimits: JsonLimits = { depth: 32, values: 500_000, members: 50_000 };

export type JsonReading = { readonly value: unknown } | { readonly fault: string };

const quote = 0x22;
const comma = 0x2c;
const colon = 0x3a;
const openBracket = 0x5b;
const backslash = 0x5c;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

/**
 * One look at the structure, then JSON.parse, then one look at what came of it; only a body with a fault is read again to find where.
 * A byte order mark is ignored, as RFC 8259 section 8.1 allows. A long file that is written as a list of bytes comes back in base64.
 */
export function readJson(body: Buffer): JsonReading {
  const bytes = body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf ? body.subarray(3) : body;
  if (!isUtf8(bytes)) return { fault: findMalformedUtf8(bytes) };
  const text = bytes.toString();
  const files: LongFile[] = [];
  const members = countMembers(text, files);
  const parsed = members === null ? null : tryParse(withBase64(text, files));
  const ofFiles = files.reduce((sum, file) => sum + file.members, 0);
  // A member given twice is one in the text that the value lacks, whatever way its name was escaped.
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

/**
 * Members of all objects in the text: its colons outside of strings. Null when it goes beyond a limit, which is known before JSON.parse
 * builds anything: 40 MB of `[` would be gigabytes of arrays. For a text that is not JSON the number means nothing.
 * @param files where it puts the long files that it finds
 */
function countMembers(text: string, files: LongFile[]): number | null {
  const ownMembers = new Int32Array(jsonLimits.depth + 1);
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
        // The bracket it ends with is looked at next.
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

/** The place of the closing bracket of a list of bytes, or of the bracket itself. */
function skipFile(text: string, at: number, files: LongFile[]): number {
  const end = endOfBytes(text, at);
  const file = end === at ? null : readLongFile(text, at, end);
  if (file !== null) files.push(file);
  return end;
}

/** Characters of a string looked at one by one, before indexOf, which is faster over many and slower over few, looks for its end. */
const fewCharacters = 24;

/** The place of the closing quote, or of the end of the text. @param from right after the opening quote */
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

/** Keys of all objects in a value, no deeper than the limit; NaN, which equals no number, when one of them could poison a prototype. */
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
