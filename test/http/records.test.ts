/** Uploads read record by record: wherever the body is cut into chunks, the same records come out, and what is wrong is named with its line. */
import { parse as parseCsv } from 'csv-parse/sync';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { textIn } from '../../src/http/csv.ts';
import { type Line, type RecordType, readRecords } from '../../src/http/records.ts';
import { startCpuClock } from '../support/cpu.ts';

async function* cut(bytes: Buffer, places: readonly number[]): AsyncGenerator<Buffer> {
  let from = 0;
  for (const place of [...places.toSorted((a, b) => a - b), bytes.length]) {
    if (place > from) yield bytes.subarray(from, place);
    from = Math.max(from, place);
  }
}

const columns = ['email', 'note'];

type Read = { readonly line: number } & ({ readonly value: unknown } | { readonly fault: string });

/** Without how long each is, and which faults are of the list. */
async function read(type: RecordType, text: string | Buffer, places: readonly number[] = []): Promise<Read[]> {
  const lines: Line[] = [];
  for await (const some of readRecords(cut(Buffer.from(text), places), type, columns)) lines.push(...some);
  return lines.map((one) => ({ line: one.line, ...('fault' in one ? { fault: one.fault } : { value: one.value }) }));
}

const ndjson = 'application/x-ndjson';
const csv = 'text/csv';
const json = 'application/json';

it('NDJSON: one object in a line; blank lines are skipped, and a last line without a line end is read', async () => {
  expect(await read(ndjson, '\ufeff{"a":1}\r\n\n  \n{"a":"ü"}\n[2]')).toEqual([
    { line: 1, value: { a: 1 } },
    { line: 4, value: { a: 'ü' } },
    { line: 5, value: [2] },
  ]);
  expect(await read(ndjson, '')).toEqual([]);
});

it('NDJSON: a line that is not JSON, not UTF-8 or too long is a fault, and the next one is read', async () => {
  const long = `{"a":"${'x'.repeat(200_000)}"}`;
  const bytes = Buffer.concat([
    Buffer.from('{"a":\n'),
    Buffer.from([0x22, 0xff, 0x22, 0x0a]),
    Buffer.from(`${long}\n{"a":1,"a":2}\n{"b":2}`),
  ]);
  for (const places of [[], Array.from({ length: 300 }, (_, n) => n * 700)]) {
    const lines = await read(ndjson, bytes, places);
    expect(lines.map(({ line }) => line)).toEqual([1, 2, 3, 4, 5]);
    expect(lines.map((line) => 'fault' in line)).toEqual([true, true, true, true, false]);
    expect(lines[2]).toEqual({ line: 3, fault: 'is longer than 65536 bytes' });
  }
});

it('CSV: an apostrophe that keeps a field from being a formula is removed, except in an address', async () => {
  expect(
    await read(csv, "email,name,note\n'=a@x.co,'=1+1,''-x\nb@x.co,'tis,O'Hara\nc@x.co,x;'=1,a; 'tis\n"),
  ).toMatchObject([
    { value: { email: "'=a@x.co", name: '=1+1', note: "'-x" } },
    { value: { email: 'b@x.co', name: "'tis", note: "O'Hara" } },
    { value: { email: 'c@x.co', name: 'x;=1', note: "a; 'tis" } },
  ]);
});

it('CSV: quoted fields, a byte order mark, CRLF, blank lines and columns in any order, known ones in any case', async () => {
  const text = '\ufeffEmail,First Name,NOTE\r\n"a@x.co","Ada ""the"" Countess, L.","two\nlines"\r\n\r\nb@x.co,,\n';
  expect(await read(csv, text)).toEqual([
    { line: 3, value: { email: 'a@x.co', 'First Name': 'Ada "the" Countess, L.', note: 'two\nlines' } },
    { line: 5, value: { email: 'b@x.co' } },
  ]);
});

it('CSV: a row with too many fields is a fault; one with too few lacks the rest; empty fields are left out', async () => {
  expect(await read(csv, 'email,note\na@x.co,1,2\nb@x.co\n,\nc@x.co,1,,\n')).toEqual([
    { line: 2, fault: 'has 3 fields, where the header names 2' },
    { line: 3, value: { email: 'b@x.co' } },
    { line: 5, value: { email: 'c@x.co', note: '1' } },
  ]);
  expect(await read(csv, 'email,,\na@x.co,1,2\n')).toEqual([{ line: 2, value: { email: 'a@x.co' } }]);
});

it.each([';', '\t'])('CSV: as spreadsheets write it, with %j between the fields', async (delimiter) => {
  const text = 'EMAIL,note,a b\r\na@x.co,"x;y\t""z"" , w",\r\n'.replaceAll(',', delimiter);
  const note = 'x;y\t"z" , w'.replaceAll(',', delimiter);
  expect(await read(csv, text)).toEqual([{ line: 2, value: { email: 'a@x.co', note } }]);
});

describe.each([
  ['a byte order mark', '\ufeff'],
  ['nothing', ''],
])("CSV: Excel's first line, after %s", (_, mark) => {
  const list = (first: string, delimiter: string) =>
    `${mark}${first}\r\nemail,note\r\na@x.co,"x\ny"\r\nb@x.co,1,2\r\n`.replaceAll(',', delimiter);

  it.each([
    ...[';', ',', '\t'].map((delimiter) => [`sep=${delimiter}`, delimiter] as const),
    ...([
      ['SEP=;', ';'],
      ['"sep=;"', ';'],
      ['sep=\\t', '\t'],
    ] as const),
  ])('%j is what separates fields, and counts as a line', async (first, delimiter) => {
    const text = list('first', delimiter).replace('first', first);
    for (const places of [[], Array.from(Buffer.from(text), (_byte, n) => n)])
      expect(await read(csv, text, places)).toEqual([
        { line: 4, value: { email: 'a@x.co', note: 'x\ny' } },
        { line: 5, fault: 'has 3 fields, where the header names 2' },
      ]);
  });

  it('goes before what the header looks like, which is named with its line', async () => {
    expect(await read(csv, `${mark}sep=,\nemail;note\na@x.co;1\n`)).toEqual([
      { line: 2, fault: expect.stringContaining('names the column "email"; it has "email;note"') },
    ]);
  });

  it.each(['sep=|', 'sep=', 'sep=;;'])('%s says nothing, and is taken for the header', async (first) => {
    expect(await read(csv, `${mark}${first}\nemail;note\n`)).toEqual([
      { line: 1, fault: expect.stringContaining('the first line must be a header') },
    ]);
  });
});

it('CSV: a list of nothing but what Excel writes first is empty, and further down that is a row like any other', async () => {
  expect(await read(csv, 'sep=;\r\n')).toEqual([]);
  expect(await read(csv, 'email\nsep=;\n')).toEqual([{ line: 2, value: { email: 'sep=;' } }]);
});

const quoted = (row: string) => row.replaceAll(/[^,]+/g, '"$&"');
const asGiven = (row: string) => row;

it.each(
  [',', ';', '\t'].flatMap((delimiter) =>
    [asGiven, quoted].flatMap((head) => [asGiven, quoted].map((rest) => ({ delimiter, head, rest }))),
  ),
)('CSV: cut at $delimiter, however much of it is quoted: header $head.name, rows $rest.name', async (how) => {
  const rows = [how.head('email,note,First Name'), how.rest('a@x.co,x,Ada'), how.rest('b@x.co,,Bob')];
  const text = rows.join('\r\n').replaceAll(',', how.delimiter);
  expect(await read(csv, text)).toEqual([
    { line: 2, value: { email: 'a@x.co', note: 'x', 'First Name': 'Ada' } },
    { line: 3, value: { email: 'b@x.co', 'First Name': 'Bob' } },
  ]);
});

it.each([
  [
    '"email";"note","x"',
    'the first line must be a header that names the column "email"; it has "\\"email\\";\\"note\\",\\"x\\""',
  ],
  ['email,EMAIL', 'the header names the column "email" twice'],
  ['email,__proto__', 'the header has a column of a name that is not allowed'],
  ['E-Mail,x', 'the first line must be a header that names the column "email"; it has "E-Mail", "x"'],
  ['a@x.co', 'the first line must be a header that names the column "email"; it has "a@x.co"'],
  ['"email', 'has a quote that is not closed'],
  [`email${','.repeat(1_000)}`, 'the header has 1001 columns, where there may be 1000'],
])('CSV: an unusable header is reported once: %s', async (header, fault) => {
  expect(await read(csv, `${header}\nb@x.co,b\nc@x.co,c\n`)).toEqual([{ line: 1, fault }]);
});

it('CSV: a faulty row spoils no row after it, however long the list', async () => {
  const good = (from: number) => Array.from({ length: 10_000 }, (_, n) => `${from + n}@x.co,n`);
  const rows = [
    ...good(0),
    ...['a@x.co,"open', 'b@x.co,"closed" early', `c@x.co,"${'x'.repeat(70_000)}"`, 'd@x.co,5" pipe'],
    ...good(10_000),
    'e@x.co,"open',
  ];
  const bytes = Buffer.from(['email,note', ...rows].join('\r\n'));
  for (const places of [[], Array.from({ length: 3_000 }, (_, n) => n * 101)]) {
    const lines = await read(csv, bytes, places);
    expect(lines.filter((line) => 'fault' in line)).toEqual([
      { line: 10_002, fault: 'has something right behind a quoted field' },
      { line: 10_003, fault: 'has something right behind a quoted field' },
      { line: 10_004, fault: 'is longer than 65536 bytes' },
      { line: 20_006, fault: 'has a quote that is not closed' },
    ]);
    expect(lines).toHaveLength(rows.length);
    expect(lines[10_003]).toEqual({ line: 10_005, value: { email: 'd@x.co', note: '5" pipe' } });
  }
});

it('CSV: the cost of a row depends on its fields, not on the number of columns', async () => {
  const rows = 'a@x.co\n'.repeat(50_000);
  const cost = async (columns: number) => {
    const text = `email${Array.from({ length: columns }, (_, n) => `,c${n}`).join('')}\n${rows}`;
    const cpuMs = startCpuClock();
    expect(await read(csv, text)).toHaveLength(50_000);
    return cpuMs();
  };
  await cost(1);
  expect(await cost(999)).toBeLessThan(5 * (await cost(1)) + 300);
});

it('CSV: a row that is not UTF-8 is a fault, and no recipient gets half a name', async () => {
  const latin1 = Buffer.from('email,note\na@x.co,J\u00fcrgen\nb@x.co,b', 'latin1');
  expect(await read(csv, latin1)).toEqual([
    { line: 2, fault: 'is not UTF-8: save the list as CSV in UTF-8' },
    { line: 3, value: { email: 'b@x.co', note: 'b' } },
  ]);
});

it('JSON: the items of a list have their numbers, whatever they contain', async () => {
  expect(await read(json, '\ufeff [ {"a":"],[\\"{"} ,\n[[1],{"b":[2]}],null, "x" ]\n')).toEqual([
    { line: 1, value: { a: '],["{' } },
    { line: 2, value: [[1], { b: [2] }] },
    { line: 3, value: null },
    { line: 4, value: 'x' },
  ]);
  for (const nothing of ['', ' \n', '[]', ' [ \n ] ']) expect(await read(json, nothing)).toEqual([]);
});

it('JSON: an item that is not valid, or too long, is a fault, and the next one is read', async () => {
  const long = JSON.stringify({ a: 'x'.repeat(200_000) });
  const text = `[{"a":}, ${long}, {"a":1,"a":2}, , {"a":]}, {"b":2}]`;
  for (const places of [[], Array.from({ length: 300 }, (_, n) => n * 700)]) {
    const lines = await read(json, text, places);
    expect(lines.map((line) => ('fault' in line ? line.line : line.value))).toEqual([1, 2, 3, 4, 5, { b: 2 }]);
    expect(lines[1]).toEqual({ line: 2, fault: 'is longer than 65536 bytes' });
    expect(lines[3]).toEqual({ line: 4, fault: 'is empty' });
  }
});

it.each([
  ['{"a":1}', [1, 'the body must be a list, which begins with [']],
  ['\ufeff', [1, 'the body must be a list, which begins with [']],
  ['[1,2', [2, 'the list is not closed with ]']],
  ['[1,"]', [2, 'the list is not closed with ]']],
  ['[1] 2', [2, 'there is more behind the list']],
  ['[1],', [2, 'there is more behind the list']],
])('JSON: a list that is faulty as a whole is read as far as possible, and reported: %s', async (text, fault) => {
  for (const places of [[], [...text].map((_, n) => n)]) {
    const lines = await read(json, text, places);
    expect(lines.filter((line) => 'fault' in line).map((line) => Object.values(line))).toEqual([fault]);
  }
});

it('wherever a body is cut, the same records come out', async () => {
  const value = fc.dictionary(fc.string({ maxLength: 8 }), fc.string({ unit: 'grapheme', maxLength: 20 }), {
    maxKeys: 3,
  });
  const places = fc.array(fc.nat(2_000), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(fc.array(value, { maxLength: 20 }), places, async (values, cuts) => {
      const expected = values.map((one, n) => ({ line: n + 1, value: JSON.parse(JSON.stringify(one)) }));
      expect(await read(ndjson, values.map((one) => JSON.stringify(one)).join('\n'), cuts)).toEqual(expected);
      expect(await read(json, JSON.stringify(values, null, 1), cuts)).toEqual(expected);
    }),
    { numRuns: 200 },
  );
  const quotedText = fc.string({ unit: 'grapheme', maxLength: 20 }).filter((text) => text.isWellFormed());
  await fc.assert(
    fc.asyncProperty(fc.array(quotedText, { minLength: 1, maxLength: 20 }), places, async (fields, cuts) => {
      const rows = fields.map((field) => `x,"${field.replaceAll('"', '""')}"`);
      const lines = await read(csv, ['email,note', ...rows].join('\r\n'), cuts);
      const note = (field: string) =>
        field.trim() === '' ? { email: 'x' } : { email: 'x', note: textIn(field.trim()) };
      expect(lines.map((line) => ('value' in line ? line.value : line))).toEqual(fields.map(note));
    }),
    { numRuns: 200 },
  );
});

it('CSV that is well-formed is read as another reader of RFC 4180 reads it', async () => {
  const character = fc.oneof(
    fc.constantFrom('"', ',', ';', '\t', '\r', '\n', ' ', 'x'),
    fc.string({ unit: 'grapheme', maxLength: 1 }),
  );
  const field = fc.array(character, { maxLength: 8 }).map((characters) => characters.join('').toWellFormed());
  const written = (text: string, isQuoted: boolean) =>
    isQuoted || /[",;\t\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  const rows = fc.array(fc.array(field, { minLength: 3, maxLength: 3 }), { maxLength: 8 });
  const style = fc.record({
    delimiter: fc.constantFrom(',', ';', '\t'),
    end: fc.constantFrom('\n', '\r\n'),
    isQuoted: fc.constantFrom([false, false], [false, true], [true, false], [true, true]),
  });
  const places = fc.array(fc.nat(200), { maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(rows, style, places, async (table, { delimiter, end, isQuoted }, cuts) => {
      const header = ['email', 'note', 'x'];
      const lines = [header, ...table].map((row, n) =>
        row.map((one) => written(one, isQuoted[n === 0 ? 0 : 1] ?? false)),
      );
      const text = lines.map((fields) => fields.join(delimiter)).join(end);
      const other: string[][] = parseCsv(text, { delimiter, bom: true, record_delimiter: end });
      const expected = other
        .slice(1)
        .map((row) =>
          row.flatMap((one, n) => (one.trim() === '' ? [] : [[header[n], n === 0 ? one.trim() : textIn(one.trim())]])),
        );
      const found = await read(csv, text, cuts);
      expect(found.map((line) => ('value' in line ? line.value : line))).toEqual(
        expected.filter((row) => row.length > 0).map((row) => Object.fromEntries(row)),
      );
    }),
    { numRuns: 300 },
  );
});
