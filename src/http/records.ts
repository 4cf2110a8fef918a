/** Uploads of any length, read as they come in: NDJSON, CSV or a JSON array, each record with its line, one that cannot be read with what is wrong. */
import { type CsvError, type Info, parse as parseCsv } from 'csv-parse';
import { readJson } from './json.ts';
import { openJsonItems } from './json-items.ts';

export const recordTypes = ['application/x-ndjson', 'text/csv', 'application/json'] as const;
export type RecordType = (typeof recordTypes)[number];

/** What has a record a line. */
export const lineTypes = ['application/x-ndjson', 'text/csv'] as const satisfies readonly RecordType[];

/** `line` counts from 1; of a record of several lines it is the last, of a JSON array the number of the item. */
export type Line =
  | { readonly line: number; readonly value: unknown }
  | { readonly line: number; readonly fault: string };

/** Bytes of one record: what is held in memory of an upload is little more. */
const maxRecordBytes = 64 * 1024;
const tooLong = `is longer than ${maxRecordBytes} bytes`;

/**
 * Lines of one chunk of the body at a time; none at all for an empty one.
 * @param columns of CSV that are known in whatever case they are written; others stay as they are
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
      if ('fault' in one) return { line: one.item, fault: one.fault };
      if ('tooLong' in one) return { line: one.item, fault: tooLong };
      return readJsonLine(one.bytes, one.item)[0] ?? { line: one.item, fault: 'is empty' };
    });
    yield lines;
    // Where the list itself is at fault, nobody knows what the rest would be.
    if (lines.some((line) => 'fault' in line) && items.isBroken()) return;
  }
  const fault = items.end();
  if (fault !== null) yield [{ line: fault.item, fault: fault.fault }];
}

const lineFeed = 0x0a;

async function* readNdjson(body: AsyncIterable<Buffer>): AsyncGenerator<Line[]> {
  let line = 0;
  let held: Buffer[] = [];
  let heldBytes = 0;
  const end = (rest: Buffer): Line[] => {
    line += 1;
    const bytes = heldBytes === 0 ? rest : Buffer.concat([...held, rest]);
    held = [];
    heldBytes = 0;
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
  }
  if (heldBytes > 0) yield end(Buffer.alloc(0));
}

function readJsonLine(bytes: Buffer, line: number): Line[] {
  if (bytes.length > maxRecordBytes) return [{ line, fault: tooLong }];
  if (isBlank(bytes)) return [];
  const read = readJson(bytes);
  return 'fault' in read ? [{ line, fault: read.fault }] : [{ line, value: read.value }];
}

/** Spaces, tabs and a carriage return: what stands on lines that say nothing. */
function isBlank(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);
}

type CsvRecord = { readonly info: Info; readonly record: readonly string[] };

/** RFC 4180, with a header row; a byte order mark, lone line feeds and blank lines are taken as well. */
async function* readCsv(body: AsyncIterable<Buffer>, columns: readonly string[]): AsyncGenerator<Line[]> {
  // Told of as soon as they are met, while records that came before wait to be taken: in the order of the lines they are the same each time.
  const faults: Line[] = [];
  const faultsUpTo = (line: number) => faults.splice(0, faults.findLastIndex((fault) => fault.line <= line) + 1);
  const parser = parseCsv({
    bom: true,
    info: true,
    skip_empty_lines: true,
    relax_column_count: true,
    max_record_size: maxRecordBytes,
    skip_records_with_error: true,
    on_skip: (error: CsvError | undefined) => {
      faults.push({ line: Number(error?.lines ?? 0), fault: error?.message ?? 'cannot be read' });
    },
  });
  const pumped = pump(body, parser);
  let header: readonly string[] | null = null;
  for await (const { info, record } of parser as AsyncIterable<CsvRecord>) {
    const lines = faultsUpTo(info.lines);
    if (header === null) {
      header = record.map((name) => nameOf(name.trim(), columns));
      const fault = headerFault(header);
      if (fault !== null) {
        parser.destroy();
        return yield [...lines, { line: info.lines, fault }];
      }
    } else lines.push(readRow(header, record, info.lines));
    yield lines;
  }
  await pumped;
  if (faults.length > 0) yield faults;
}

async function pump(body: AsyncIterable<Buffer>, parser: ReturnType<typeof parseCsv>): Promise<void> {
  try {
    for await (const chunk of body) {
      if (parser.destroyed) return;
      if (!parser.write(chunk)) await new Promise((resolve) => parser.once('drain', resolve).once('close', resolve));
    }
    parser.end();
  } catch (error) {
    parser.destroy(error as Error);
  }
}

function nameOf(written: string, columns: readonly string[]): string {
  return columns.find((name) => name === written.toLowerCase()) ?? written;
}

function headerFault(header: readonly string[]): string | null {
  const twice = header.find((name, place) => header.indexOf(name) !== place);
  if (twice !== undefined) return `the header names the column ${JSON.stringify(twice)} twice`;
  return header.includes('__proto__') ? 'the header has a column of a name that is not allowed' : null;
}

/** What is empty is not there. */
function readRow(header: readonly string[], record: readonly string[], line: number): Line {
  if (record.length > header.length)
    return { line, fault: `has ${record.length} fields, where the header names ${header.length}` };
  const fields = header.map((name, place): [string, string] => [name, record[place]?.trim() ?? '']);
  return { line, value: Object.fromEntries(fields.filter(([, value]) => value !== '')) };
}
