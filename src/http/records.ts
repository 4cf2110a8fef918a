/** Uploads of any length, read as they come in: NDJSON, CSV or a JSON array, each record with its line, one that cannot be read with what is wrong. */
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

/** What has a record a line. */
export const lineTypes = ['application/x-ndjson', 'text/csv'] as const satisfies readonly RecordType[];

/** `line` counts from 1; of a record of several lines it is the last, of a JSON array the number of the item. */
export type Line =
  /** `bytes` it took in the upload. */
  | { readonly line: number; readonly value: unknown; readonly bytes: number }
  | { readonly line: number; readonly fault: string }
  | ListFault;

/** One of the list as a whole: nothing behind it is read. */
export type ListFault = { readonly line: number; readonly fault: string; readonly isListFault: true };

export function isListFault(line: Line): line is ListFault {
  return 'isListFault' in line;
}

/** Bytes of one record: what is held in memory of an upload is little more. */
const maxRecordBytes = 64 * 1024;
const tooLong = `is longer than ${maxRecordBytes} bytes`;

/**
 * Lines of one chunk of the body at a time; none at all for an empty one.
 * @param columns of CSV that are known in whatever case they are written; others stay as they are. No list is without the first of them
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
    // Nobody knows what the rest would be.
    if (items.isBroken()) return;
  }
  const fault = items.end();
  if (fault !== null) yield [{ line: fault.item, fault: fault.fault, isListFault: true }];
}

const lineFeed = 0x0a;

/** What a list in UTF-16 begins with, in either order of its bytes. */
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
    // Of a line that is too long anyway no more is kept than shows that it is.
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

/** Spaces, tabs and a carriage return: what stands on lines that say nothing. */
function isBlank(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);
}

/** RFC 4180, with a header row; what stands between fields may be a semicolon or a tab as well, as spreadsheets write it. */
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
    // Without a header nobody knows what the rest would be.
    if (lines.some(isListFault)) return;
  }
  yield read(rows.end());
}

function nameOf(written: string, columns: readonly string[]): string {
  return columns.find((name) => name === written.toLowerCase()) ?? written;
}

/** More than any spreadsheet of people has. */
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
 * What is empty is not there: neither a field, nor a row that has nothing else. What stands under no name is passed over.
 * @param address the column whose fields are never written behind an apostrophe
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
