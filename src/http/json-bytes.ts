/**
 * Files that are written as lists of numbers. Such a list may have as many numbers as the body has bytes, so it counts as one value. A long one
 * is read from the text itself and given to JSON.parse in base64: parsed as a list it took 15 times its size in the body.
 */

const comma = 0x2c;
const colon = 0x3a;
const closeBracket = 0x5d;
const zero = 0x30;
const nine = 0x39;

/** Numbers from which on a list is read from the text. No other list that is accepted can be that long, not even one named like a file. */
const longFile = 256 * 1024;

const names = ['"content"', '"data"'];
const isContent = /"content"\s*:\s*$/;
/** The JSON of a Node.js Buffer: the text before its list, and the text after it. */
const bufferHead = /\{\s*"type"\s*:\s*"Buffer"\s*,\s*"data"\s*:\s*$/;
const bufferTail = /\s*\}/y;
const bufferMembers = 2;
const maxHeadLength = 100;

/**
 * The place of the closing bracket of a list of bytes; `at` itself when there is no such list. Only a member with the name of a file counts:
 * nobody expects a list of millions anywhere else.
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

/** The place of a long file in the text, from its first character to just after its last, and how many members that part has. */
export type LongFile = {
  readonly from: number;
  readonly to: number;
  readonly members: number;
  readonly bytes: Buffer;
};

/**
 * Null for a short list, and for a list that may be something else.
 * @param end of the list, as `endOfBytes` found it
 */
export function readLongFile(text: string, at: number, end: number): LongFile | null {
  // Each number takes at least two characters: a digit, and a comma or bracket.
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

/** The text with each of these files written in base64. */
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
