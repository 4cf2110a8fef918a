/** Finds the first fault of a JSON text and says what and where it is. Used only for a text with a fault, so it is simple and slow. */
import { isUtf8 } from 'node:buffer';
import { endOfBytes } from './json-bytes.ts';
import { shortened, toPointer } from './pointer.ts';

export type JsonLimits = {
  /** Arrays and objects inside one another. */
  readonly depth: number;
  /** Arrays, objects and commas. Those inside files that are lists of bytes do not count. */
  readonly values: number;
  /** Members of one object. */
  readonly members: number;
};

/** Null for a valid part of the text, else the fault. */
type Fault = string | null;

const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const word = /true|false|null/y;
/**
 * What a string may hold, plain or escaped. At most 10,000 at a time, as the engine keeps a backtracking position for each. One by one, 40 MB of
 * `\\` took a second.
 */
const characters = /(?:[ !#-[\]-\uffff]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4})){1,10000}/y;
const spaces = /[ \t\n\r]*/y;

/** Null when there is no fault. Recurses no deeper than the limit. */
export function findJsonFault(text: string, limits: JsonLimits): Fault {
  const path: PropertyKey[] = [];
  let at = 0;
  let values = 0;

  return readValue() ?? (at < text.length ? expected('nothing more') : null);

  function readValue(): Fault {
    skip(spaces);
    const fault = readOne();
    skip(spaces);
    return fault;
  }

  function readOne(): Fault {
    if (text[at] === '{') return readContainer('}', readMembers);
    if (text[at] === '[') return readContainer(']', readItems);
    if (text[at] === '"') return readString();
    return skip(number) || skip(word) ? null : expected('a value');
  }

  function readContainer(end: string, readAll: (depth: number) => Fault): Fault {
    if (path.length >= limits.depth) return `The body is nested deeper than ${limits.depth} levels ${place(at)}`;
    const isTooMuch = countValue();
    if (isTooMuch !== null) return isTooMuch;
    at = Math.max(at + 1, endOfBytes(text, at));
    skip(spaces);
    if (text[at] === end) {
      at++;
      return null;
    }
    const depth = path.push('') - 1;
    const fault = readAll(depth);
    path.pop();
    return fault;
  }

  function readItems(depth: number): Fault {
    for (let index = 0; ; index++) {
      path[depth] = index;
      const fault = readValue();
      if (fault !== null) return fault;
      if (text[at] === ']') break;
      if (text[at] !== ',') return expected('"," or "]"');
      const isTooMuch = countValue();
      if (isTooMuch !== null) return isTooMuch;
      at++;
    }
    at++;
    return null;
  }

  function readMembers(depth: number): Fault {
    const names = new Set<string>();
    for (;;) {
      const fault = readMember(depth, names);
      if (fault !== null) return fault;
      if (text[at] === '}') break;
      if (text[at] !== ',') return expected('"," or "}"');
      const isTooMuch = countValue();
      if (isTooMuch !== null) return isTooMuch;
      at++;
    }
    at++;
    return null;
  }

  function readMember(depth: number, names: Set<string>): Fault {
    skip(spaces);
    const from = at;
    if (text[at] !== '"') return expected('a name in quotes');
    const fault = readString();
    if (fault !== null) return fault;
    const name: string = JSON.parse(text.slice(from, at));
    path[depth] = name;
    if (names.has(name)) return `The body has ${quoted(name)} twice in one object: ${pointer()} ${place(from)}`;
    names.add(name);
    if (names.size > limits.members)
      return `The body has an object of more than ${limits.members} members ${place(from)}`;
    if (name === '__proto__' || (name === 'prototype' && path[depth - 1] === 'constructor'))
      return `The body has ${quoted(name)}, which is never allowed: ${pointer()} ${place(from)}`;
    skip(spaces);
    if (text[at] !== ':') return expected('":"');
    at++;
    return readValue();
  }

  function readString(): Fault {
    at++;
    while (skip(characters));
    if (text[at] === '\\') return expected('an escape such as \\n or \\u00e9');
    if (text[at] !== '"') return expected(at < text.length ? 'an escape such as \\n' : 'the closing quote of a string');
    at++;
    return null;
  }

  function countValue(): Fault {
    values++;
    return values > limits.values ? `The body has more than ${limits.values} values ${place(at)}` : null;
  }

  /** Moves past what matches here. @returns whether anything matched */
  function skip(pattern: RegExp): boolean {
    pattern.lastIndex = at;
    if (!pattern.test(text)) return false;
    at = pattern.lastIndex;
    return true;
  }

  function expected(what: string): string {
    const found = at < text.length ? quoted(String.fromCodePoint(text.codePointAt(at) ?? 0)) : 'the end';
    return `The body is not valid JSON: expected ${what} ${place(at)}, found ${found}`;
  }

  function place(where: number): string {
    return placeIn(text, where);
  }

  function pointer(): string {
    return shortened(toPointer(path));
  }
}

/** Bytes checked at a time. All bytes before them are valid UTF-8. */
const chunkBytes = 1024 * 1024;

/** Says where the bytes stop being valid UTF-8. */
export function findMalformedUtf8(bytes: Buffer): string {
  let start = 0;
  let end = cutBetweenCharacters(bytes, chunkBytes);
  while (end < bytes.length && isUtf8(bytes.subarray(start, end))) {
    start = end;
    end = cutBetweenCharacters(bytes, start + chunkBytes);
  }
  const before = bytes.toString('utf8', 0, start);
  return `The body is not valid UTF-8 ${placeIn(bytes.toString(), before.length + malformedAt(bytes.subarray(start, end)))}`;
}

function cutBetweenCharacters(bytes: Buffer, near: number): number {
  let at = Math.min(near, bytes.length);
  // A character has at most three bytes after its first.
  for (let back = 0; back < 3 && ((bytes[at] ?? 0) & 0xc0) === 0x80; back++) at--;
  return at;
}

/** Finds the first invalid byte by decoding: it becomes U+FFFD. A U+FFFD that was really sent must not be taken for one. */
function malformedAt(bytes: Buffer): number {
  const text = bytes.toString();
  let seen = 0;
  let byte = 0;
  for (let at = text.indexOf('\ufffd'); at >= 0; at = text.indexOf('\ufffd', at + 1)) {
    byte += Buffer.byteLength(text.slice(seen, at));
    seen = at;
    if (bytes.toString('latin1', byte, byte + 3) !== '\xef\xbf\xbd') return at;
  }
  return text.length;
}

function quoted(text: string): string {
  return JSON.stringify(shortened(text));
}

/** Line and column as an editor counts them: from 1, in UTF-16 units. */
function placeIn(text: string, at: number): string {
  let line = 1;
  let start = 0;
  for (let end = text.indexOf('\n'); end >= 0 && end < at; end = text.indexOf('\n', start)) {
    line += 1;
    start = end + 1;
  }
  return `at line ${line}, column ${at - start + 1}`;
}
