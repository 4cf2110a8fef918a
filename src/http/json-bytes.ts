/** Files that are written as lists of numbers: each may have as many as the body has bytes, so they count as one value. */

const comma = 0x2c;
const colon = 0x3a;
const closeBracket = 0x5d;
const zero = 0x30;
const nine = 0x39;

const names = ['"content"', '"data"'];

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
    next = skipSpaces(text, next);
    const code = text.charCodeAt(next);
    if (code === closeBracket) return next;
    if (code !== comma) return at;
  }
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
