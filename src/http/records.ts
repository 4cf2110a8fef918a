/** Uploads of any length, read as they come in: one record a line as NDJSON or CSV, each with its line, a line that cannot be read with what is wrong. */
import { type CsvError, type Info, parse as parseCsv } from 'csv-parse';
import { readJson } from './json.ts';

export const recordTypes = ['application/x-ndjson', 'text/csv'] as const;
export type RecordType = (typeof recordTypes)[number];

/** `line` counts from 1; of a record of several lines it is the last. */
export type Line =
  | { readonly line: number; readonly value: unknown }
  | { readonly line: number; readonly fault: string };

/** Bytes of one record: what is held in memory of an upload is little more. */
const maxRecordBytes = 64 * 1024;

/** Lines of one chunk of the body at a time; none at all for an empty one. */
export function readRecords(body: AsyncIterable<Buffer>, type: RecordType): AsyncGenerator<Line[]> {
  return type === 'text/csv' ? readCsv(body) : readNdjson(body);
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
  if (bytes.length > maxRecordBytes) return [{ line, fault: `is longer than ${maxRecordBytes} bytes` }];
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
async function* readCsv(body: AsyncIterable<Buffer>): AsyncGenerator<Line[]> {
  let faults: Line[] = [];
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
    const lines: Line[] = faults;
    faults = [];
    if (header === null) {
      header = record.map((name) => name.trim().toLowerCase());
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
