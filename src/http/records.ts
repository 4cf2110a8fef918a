/**
 * Reads uploads of any length as they come in: NDJSON, CSV or a JSON array. Each record has its line; a record that cannot be read has a fault
 * instead.
 */
import { textIn } from './csv.ts';
import {
  behindQuoted,
  type CsvRow,
  type CsvText,
  type Delimiter,
  delimiters,
  fieldsOf,
  openCsvRows,
} from './csv-rows.ts';
import { readJson } from './json.ts';
import { openJsonItems } from './json-items.ts';

export const recordTypes = ['application/x-ndjson', 'text/csv', 'application/json'] as const;
export type RecordType = (typeof recordTypes)[number];

/** Types with one record in a line. */
export const lineTypes = ['application/x-ndjson', 'text/csv'] as const satisfies readonly RecordType[];

/** `line` counts from 1. For a record of several lines it is the last of them; for a JSON array it is the number of the item. */
export type Line =
  /** `bytes` the record took in the upload. */
  | { readonly line: number; readonly value: unknown; readonly bytes: number }
  | { readonly line: number; readonly fault: string }
  | ListFault;

/** A fault of the list as a whole: nothing after it is read. */
export type ListFault = { readonly line: number; readonly fault: string; readonly isListFault: true };

export function isListFault(line: Line): line is ListFault {
  return 'isListFault' in line;
}

/** Bytes of one record. An upload holds little more than that in memory. */
const maxRecordBytes = 64 * 1024;
const tooLong = `is longer than ${maxRecordBytes} bytes`;

/**
 * Yields the lines of one chunk of the body at a time; an empty body has none.
 * @param columns of CSV whose names match in upper and lower case; other names stay as written. The first one is required.
 */
export function readRecords(
  body: AsyncIterable<Buffer>,
  type: RecordType,
  columns: readonly string[],
): AsyncGenerator<Line[]> {
  switch (type) {
    case 'text/csv':
      return readCsv(body, columns);
    case 'application/json':
      return readItems(body);
    case 'application/x-ndjson':
      return readNdjson(body);
  }
}

async function* readItems(body: AsyncIterable<Buffer>): AsyncGenerator<Line[]> {
  const items = openJsonItems(maxRecordBytes);
  for await (const chunk of body) {
    const lines = items.take(chunk).map((one): Line => {
      if ('fault' in one) return { line: one.item, fault: one.fault, isListFault: true };
      if ('tooLong' in one) return { line: one.item, fault: tooLong };
      return readJsonLine(one.bytes, one.item)[0] ?? { line: one.item, fault: 'is empty' };
    });
    yield lines;
    // The array is broken, so the rest cannot be understood.
    if (items.isBroken()) return;
  }
  const fault = items.end();
  if (fault !== null) yield [{ line: fault.item, fault: fault.fault, isListFault: true }];
}

const lineFeed = 0x0a;

/** The first bytes of a list in UTF-16, in either byte order. */
const byteOrderMarks = [Buffer.of(0xff, 0xfe), Buffer.of(0xfe, 0xff)];
const notUtf8 = 'is not UTF-8: save the list in UTF-8';

async function* readNdjson(body: AsyncIterable<Buffer>): AsyncGenerator<Line[]> {
  let line = 0;
  let held: Buffer[] = [];
  let heldBytes = 0;
  const end = (rest: Buffer): Line[] => {
    line += 1;
    const bytes = heldBytes === 0 ? rest : Buffer.concat([...held, rest]);
    held = [];
    heldBytes = 0;
    if (line === 1 && byteOrderMarks.some((mark) => bytes.indexOf(mark) === 0))
      return [{ line, fault: notUtf8, isListFault: true }];
    return readJsonLine(bytes, line);
  };
  for await (const chunk of body) {
    const lines: Line[] = [];
    let from = 0;
    for (let to = chunk.indexOf(lineFeed); to >= 0; to = chunk.indexOf(lineFeed, from)) {
      lines.push(...end(chunk.subarray(from, to)));
      from = to + 1;
    }
    const rest = chunk.subarray(from);
    // Of a line that is too long, only enough is kept to show that it is.
    if (rest.length > 0 && heldBytes <= maxRecordBytes) {
      held.push(rest);
      heldBytes += rest.length;
    }
    yield lines;
    if (lines.some(isListFault)) return;
  }
  if (heldBytes > 0) yield end(Buffer.alloc(0));
}

function readJsonLine(bytes: Buffer, line: number): Line[] {
  if (bytes.length > maxRecordBytes) return [{ line, fault: tooLong }];
  if (isBlank(bytes)) return [];
  const read = readJson(bytes);
  return 'fault' in read ? [{ line, fault: read.fault }] : [{ line, value: read.value, bytes: bytes.length }];
}

/** A line of nothing but spaces, tabs and a carriage return is blank. */
function isBlank(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);
}

/** CSV (RFC 4180) with a header row. The delimiter may be a semicolon or a tab as well, as spreadsheets write it. */
async function* readCsv(body: AsyncIterable<Buffer>, columns: readonly string[]): AsyncGenerator<Line[]> {
  let header: readonly string[] = [];
  let delimiter: Delimiter = ',';
  const [needed = ''] = columns;
  const namesIn = (row: string, by: Delimiter) => fieldsOf(row, by)?.map((name) => nameOf(name.trim(), columns));
  const rows = openCsvRows(maxRecordBytes, (first, said) => {
    delimiter = said ?? delimiters.find((one) => namesIn(first, one)?.includes(needed)) ?? delimiter;
    header = namesIn(first, delimiter) ?? [first];
    return delimiter;
  });
  let isBegun = false;
  const read = (some: readonly CsvRow[]): Line[] => {
    const lines: Line[] = [];
    for (const row of some) {
      if ('fault' in row) lines.push(isBegun ? row : { ...row, isListFault: true });
      else if (isBegun) lines.push(...readRow(header, row, delimiter, needed));
      else {
        const fault = headerFault(header, needed);
        if (fault !== null) lines.push({ line: row.line, fault, isListFault: true });
      }
      if (!isBegun && lines.length > 0) return lines;
      isBegun = true;
    }
    return lines;
  };
  for await (const chunk of body) {
    const lines = read(rows.take(chunk));
    yield lines;
    // Without a header the rest cannot be understood.
    if (lines.some(isListFault)) return;
  }
  yield read(rows.end());
}

function nameOf(written: string, columns: readonly string[]): string {
  return columns.find((name) => name === written.toLowerCase()) ?? written;
}

/** More than any spreadsheet made by people has. */
const maxColumns = 1_000;

function headerFault(header: readonly string[], needed: string): string | null {
  if (header.length > maxColumns) return `the header has ${header.length} columns, where there may be ${maxColumns}`;
  if (header.includes('__proto__')) return 'the header has a column of a name that is not allowed';
  const lastPlaces = new Map(header.map((name, place) => [name, place]));
  const twice = header.find((name, place) => name !== '' && lastPlaces.get(name) !== place);
  if (twice !== undefined) return `the header names the column ${JSON.stringify(twice)} twice`;
  if (header.includes(needed)) return null;
  const named = header.map((name) => JSON.stringify(name)).join(', ');
  return `the first line must be a header that names the column ${JSON.stringify(needed)}; it has ${cutShort(named)}`;
}

const maxToldChars = 200;

function cutShort(text: string): string {
  return text.length > maxToldChars ? `${text.slice(0, maxToldChars).toWellFormed()}…` : text;
}

/**
 * Empty fields are left out, and so are rows without any other. Fields under a column without a name are ignored.
 * @param address the column whose fields are never written with an apostrophe before them
 */
function readRow(
  header: readonly string[],
  { line, text, bytes }: CsvText,
  delimiter: Delimiter,
  address: string,
): Line[] {
  const fields = fieldsOf(text, delimiter)?.map((field): string => field.trim());
  if (fields === undefined) return [{ line, fault: behindQuoted }];
  const count = fields.findLastIndex((field) => field !== '') + 1;
  if (count === 0) return [];
  if (count > header.length) return [{ line, fault: `has ${count} fields, where the header names ${header.length}` }];
  const named = fields.slice(0, count).map((field, place): [string, string] => {
    const name = header[place] ?? '';
    return [name, name === address ? field : textIn(field)];
  });
  return [{ line, value: Object.fromEntries(named.filter(([name, value]) => name !== '' && value !== '')), bytes }];
}
