/** Cuts CSV (RFC 4180) into rows as its bytes come in. A faulty row ends with its line and never spoils the rows after it. */
import { isUtf8 } from 'node:buffer';

/** `line` counts from 1. For a row of several lines it is the last of them. */
export type CsvText = { readonly line: number; readonly text: string; readonly bytes: number };

/** For a faulty row, `line` is the first of its lines. */
export type CsvRow = CsvText | { readonly line: number; readonly fault: string };

/** The delimiters that are accepted. The header shows which one is used, or a line `sep=` before it. */
export const delimiters = [',', ';', '\t'] as const;
export type Delimiter = (typeof delimiters)[number];

const byteOrderMark = Buffer.of(0xef, 0xbb, 0xbf);
const quote = 0x22;
const lineFeed = 0x0a;
const carriageReturn = 0x0d;

export const behindQuoted = 'has something right behind a quoted field';

type Cut = { readonly end: number } | { readonly fault: string };

/** How far an unfinished row was searched for its end, and whether a quote was open there. */
type Looked = { readonly from: number; readonly to: number; readonly isQuoted: boolean };

/**
 * A line ends with LF, CRLF or CR. Blank lines are skipped, and so is a first line `sep=;`, which Excel writes and reads.
 * @param maxBytes of one row
 * @param delimiterOf gets the first row, and the delimiter that a `sep=` line named; chooses the delimiter of all rows
 */
export function openCsvRows(maxBytes: number, delimiterOf: (header: string, said: Delimiter | null) => Delimiter) {
  let held: Buffer = Buffer.alloc(0);
  let line = 0;
  let isBegun = false;
  /** Whether the rest of the current line is skipped. */
  let isSkipping = false;
  let separators: ReadonlySet<number> = new Set(delimiters.map(codeOf));
  let isHeaderRead = false;
  let said: Delimiter | null = null;
  let looked: Looked = { from: 0, to: 0, isQuoted: false };

  /** Null while the row is not complete. A row is never searched beyond `maxBytes`, so the result does not depend on where the chunks end. */
  function cutRow(from: number, isWhole: boolean): Cut | null {
    const limit = Math.min(held.length, from + maxBytes + 1);
    let { to: at, isQuoted } = looked.from === from ? looked : { to: from, isQuoted: false };
    const stop = <Fault extends Cut | null>(fault: Fault): Fault => {
      looked = { from, to: at, isQuoted };
      return fault;
    };
    for (; at < limit; at++) {
      const byte = held[at] as number;
      if (isQuoted && byte === quote) {
        const next = held[at + 1];
        if (next === undefined && !isWhole) return stop(null);
        if (next === quote) at += 1;
        else if (next === undefined || isBreak(next) || separators.has(next)) isQuoted = false;
        else return stop({ fault: behindQuoted });
      } else if (isQuoted && isBreak(byte) && at < looked.to) {
        // A row that began earlier was within quotes at this break too, and what follows is the same, so this search can jump to its end.
        // Without the jump each line searched the same 64 KB again: 10 s for a list of 132 KB.
        at = looked.to - 1;
        isQuoted = looked.isQuoted;
      } else if (!isQuoted && isBreak(byte)) return { end: at };
      else if (!isQuoted && byte === quote) isQuoted = at === from || separators.has(held[at - 1] as number);
    }
    const isLong = limit === from + maxBytes + 1 && endOfLine(held, from) >= limit;
    if (isLong) return stop({ fault: `is longer than ${maxBytes} bytes` });
    if (limit === from + maxBytes + 1 || (isWhole && isQuoted))
      return stop({ fault: 'has a quote that is not closed' });
    return isWhole ? { end: limit } : stop(null);
  }

  /** Where the next line begins; null while that is not known yet. */
  function nextLine(end: number, isWhole: boolean): number | null {
    if (end >= held.length) return isWhole ? held.length : null;
    if (held[end] === lineFeed) return end + 1;
    if (held[end + 1] === undefined && !isWhole) return null;
    return held[end + 1] === lineFeed ? end + 2 : end + 1;
  }

  /** @returns where the next line begins, or where the rest of this one does */
  function skip(from: number, isWhole: boolean): number {
    const end = endOfLine(held, from);
    const next = nextLine(end, isWhole);
    isSkipping = next === null;
    return next ?? end;
  }

  function read(bytes: Buffer): CsvRow[] {
    if (!isUtf8(bytes)) return [{ line, fault: 'is not UTF-8: save the list as CSV in UTF-8' }];
    const text = bytes.toString();
    if (line === 1) said = delimiterSaidBy(text);
    if (line === 1 && said !== null) return [];
    if (!isHeaderRead) separators = new Set([codeOf(delimiterOf(text, said))]);
    isHeaderRead = true;
    return [{ line, text, bytes: bytes.length }];
  }

  function rows(isWhole: boolean): CsvRow[] {
    const found: CsvRow[] = [];
    let from = isSkipping ? skip(0, isWhole) : 0;
    while (!isSkipping && from < held.length) {
      const cut = cutRow(from, isWhole);
      const next = cut === null || 'fault' in cut ? null : nextLine(cut.end, isWhole);
      if (cut === null || (next === null && !('fault' in cut))) break;
      if ('fault' in cut) {
        line += 1;
        found.push({ line, fault: cut.fault });
        from = skip(from, isWhole);
        continue;
      }
      line += 1 + breaksIn(held, from, cut.end);
      if (cut.end > from) found.push(...read(held.subarray(from, cut.end)));
      from = next as number;
    }
    held = Buffer.from(held.subarray(from));
    looked = { ...looked, from: looked.from - from, to: looked.to - from };
    return found;
  }

  function take(chunk: Buffer, isWhole: boolean): CsvRow[] {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    if (!isBegun && held.length < byteOrderMark.length && !isWhole) return [];
    if (!isBegun && held.indexOf(byteOrderMark) === 0) held = held.subarray(byteOrderMark.length);
    isBegun = true;
    return rows(isWhole);
  }
  return { take: (chunk: Buffer) => take(chunk, false), end: () => take(Buffer.alloc(0), true) };
}

/** Null when the first line is not a `sep=` line, but the header. */
function delimiterSaidBy(first: string): Delimiter | null {
  const [, said] = /^("?)sep=(.|\\t)\1$/i.exec(first)?.slice(1) ?? [];
  return delimiters.find((one) => one === (said === '\\t' ? '\t' : said)) ?? null;
}

function codeOf(delimiter: Delimiter): number {
  return delimiter.charCodeAt(0);
}

function isBreak(byte: number): boolean {
  return byte === lineFeed || byte === carriageReturn;
}

/** Line breaks (LF, CRLF or CR) within a row. */
function breaksIn(bytes: Buffer, from: number, end: number): number {
  let breaks = 0;
  for (let at = from; at < end; at++) {
    const byte = bytes[at];
    if (byte === lineFeed || (byte === carriageReturn && bytes[at + 1] !== lineFeed)) breaks += 1;
  }
  return breaks;
}

/** The place of the next line break; the end of the bytes when there is none. */
function endOfLine(bytes: Buffer, from: number): number {
  for (let at = from; at < bytes.length; at++) if (isBreak(bytes[at] as number)) return at;
  return bytes.length;
}

/** The fields of a row without their quotes; null when a quoted field is followed by anything but the delimiter. */
export function fieldsOf(row: string, delimiter: Delimiter): string[] | null {
  const fields: string[] = [];
  for (let from = 0; from <= row.length; ) {
    const isQuoted = row[from] === '"';
    const end = isQuoted ? endOfQuoted(row, from) : row.indexOf(delimiter, from);
    const to = end === -1 ? row.length : end;
    if (to < row.length && row[to] !== delimiter) return null;
    fields.push(isQuoted ? row.slice(from + 1, to - 1).replaceAll('""', '"') : row.slice(from, to));
    from = to + 1;
  }
  return fields;
}

/** The place after the closing quote of the field that begins at `from`; -1 when it is not closed. */
function endOfQuoted(row: string, from: number): number {
  for (let at = row.indexOf('"', from + 1); at >= 0; at = row.indexOf('"', at + 2))
    if (row[at + 1] !== '"') return at + 1;
  return -1;
}
