/**
 * Files that are written as lists of numbers: each may have as many as the body has bytes, so they count as one value. A long one is read from
 * the text itself, and stands in base64 for JSON.parse: as a list it took 15 times what it takes of the body.
 */

const comma = 0x2c;
const colon = 0x3a;
const closeBracket = 0x5d;
const zero = 0x30;
const nine = 0x39;

/** Numbers of a list that is read from the text: more than any other list can have that is taken, be it under the name of a file. */
const longFile = 256 * 1024;

const names = ['"content"', '"data"'];
const isContent = /"content"\s*:\s*$/;
/** What Node makes of a Buffer, before its list and behind it. */
const bufferHead = /\{\s*"type"\s*:\s*"Buffer"\s*,\s*"data"\s*:\s*$/;
const bufferTail = /\s*\}/y;
const bufferMembers = 2;
const maxHeadLength = 100;

/**
 * Where the closing bracket of a list of bytes stands; `at` itself where there is none. Only in a member with the name of a file: a list of
 * millions anywhere else is nothing that anybody expects.
 * @param at the place of an opening bracket
 */
export function endOfBytes(text: string, at: number): number {
  if (!isUnderName(text, at)) return at;
  for (let next = at + 1; ; next++) {
    next = skipSpaces(text, next);
    const from = next;
    while (isDigit(text.charCodeAt(next))) next++;
    const digits = next - from;
    if (digits === 0 || digits > 3 || (digits > 1 && text.charCodeAt(from) === zero)) return at;
    if (digits === 3 && text.slice(from, next) > '255') return at;
    next = skipSpaces(text, next);
    const code = text.charCodeAt(next);
    if (code === closeBracket) return next;
    if (code !== comma) return at;
  }
}

/** What a long file is written as: from its first character to behind its last, and the members that are part of that. */
export type LongFile = {
  readonly from: number;
  readonly to: number;
  readonly members: number;
  readonly bytes: Buffer;
};

/** Null of a short one, and of a list that may be something else. @param end of the list, as `endOfBytes` found it */
export function readLongFile(text: string, at: number, end: number): LongFile | null {
  // Each number has a comma before it, or the bracket.
  if (end - at < 2 * longFile) return null;
  const place = placeOf(text, at, end);
  if (place === null) return null;
  const bytes = readBytes(text, at, end);
  return bytes.length < longFile ? null : { ...place, bytes };
}

function placeOf(text: string, at: number, end: number): Omit<LongFile, 'bytes'> | null {
  const before = text.slice(Math.max(0, at - maxHeadLength), at);
  if (isContent.test(before)) return { from: at, to: end + 1, members: 0 };
  const head = bufferHead.exec(before)?.[0];
  bufferTail.lastIndex = end + 1;
  if (head === undefined || !bufferTail.test(text)) return null;
  return { from: at - head.length, to: bufferTail.lastIndex, members: bufferMembers };
}

function readBytes(text: string, from: number, end: number): Buffer {
  const bytes = Buffer.allocUnsafe(Math.ceil((end - from) / 2));
  let count = 0;
  let value = 0;
  for (let at = from + 1; at <= end; at++) {
    const code = text.charCodeAt(at);
    if (isDigit(code)) value = 10 * value + code - zero;
    else if (!isSpace(code)) {
      bytes[count++] = value;
      value = 0;
    }
  }
  return bytes.subarray(0, count);
}

/** The text with each of the files in base64. */
export function withBase64(text: string, files: readonly LongFile[]): string {
  if (files.length === 0) return text;
  const parts = files.flatMap(({ from, bytes }, index) => [
    text.slice(files[index - 1]?.to ?? 0, from),
    `"${bytes.toString('base64')}"`,
  ]);
  return [...parts, text.slice(files.at(-1)?.to)].join('');
}

function isUnderName(text: string, at: number): boolean {
  const before = skipSpacesBack(text, at - 1);
  if (text.charCodeAt(before) !== colon) return false;
  const end = skipSpacesBack(text, before - 1) + 1;
  return names.some((name) => text.endsWith(name, end));
}

function skipSpaces(text: string, from: number): number {
  let at = from;
  while (isSpace(text.charCodeAt(at))) at++;
  return at;
}

function skipSpacesBack(text: string, from: number): number {
  let at = from;
  while (isSpace(text.charCodeAt(at))) at--;
  return at;
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

function isDigit(code: number): boolean {
  return code >= zero && code <= nine;
}
