/** Uploads read record by record: wherever the body is cut into chunks, the same records come out, and what is wrong is named with its line. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Line, type RecordType, readRecords } from '../../src/http/records.ts';

async function* cut(bytes: Buffer, places: readonly number[]): AsyncGenerator<Buffer> {
  let from = 0;
  for (const place of [...places.toSorted((a, b) => a - b), bytes.length]) {
    if (place > from) yield bytes.subarray(from, place);
    from = Math.max(from, place);
  }
}

const columns = ['email', 'note'];

async function read(type: RecordType, text: string | Buffer, places: readonly number[] = []): Promise<Line[]> {
  const lines: Line[] = [];
  for await (const some of readRecords(cut(Buffer.from(text), places), type, columns)) lines.push(...some);
  return lines;
}

const ndjson = 'application/x-ndjson';
const csv = 'text/csv';
const json = 'application/json';

it('NDJSON: one object a line, blank lines passed over, a last line without its end taken', async () => {
  expect(await read(ndjson, '\ufeff{"a":1}\r\n\n  \n{"a":"ü"}\n[2]')).toEqual([
    { line: 1, value: { a: 1 } },
    { line: 4, value: { a: 'ü' } },
    { line: 5, value: [2] },
  ]);
  expect(await read(ndjson, '')).toEqual([]);
});

it('NDJSON: a line that is no JSON, no UTF-8 or too long is named, and the next one is read', async () => {
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

it('CSV: quoted fields, a byte order mark, CRLF, blank lines and columns in any order, known ones in any case', async () => {
  const text = '\ufeffEmail,First Name,NOTE\r\n"a@x.co","Ada ""the"" Countess, L.","two\nlines"\r\n\r\nb@x.co,,\n';
  expect(await read(csv, text)).toEqual([
    { line: 3, value: { email: 'a@x.co', 'First Name': 'Ada "the" Countess, L.', note: 'two\nlines' } },
    { line: 5, value: { email: 'b@x.co' } },
  ]);
});

it('CSV: a row with too many fields is named; one with too few lacks the rest', async () => {
  expect(await read(csv, 'email,note\na@x.co,1,2\nb@x.co\n')).toEqual([
    { line: 2, fault: 'has 3 fields, where the header names 2' },
    { line: 3, value: { email: 'b@x.co' } },
  ]);
});

it('CSV: a header that cannot be gone by, and a quote that is never closed, are said once', async () => {
  expect(await read(csv, 'email,EMAIL\na,b\n')).toEqual([
    { line: 1, fault: 'the header names the column "email" twice' },
  ]);
  expect(await read(csv, 'email,__proto__\na,b\n')).toEqual([
    { line: 1, fault: 'the header has a column of a name that is not allowed' },
  ]);
  const unclosed = await read(csv, 'email\na@x.co\n"b@x.co\nc@x.co\n');
  expect(unclosed.toSorted((a, b) => a.line - b.line)).toEqual([
    { line: 2, value: { email: 'a@x.co' } },
    { line: 4, fault: expect.stringMatching(/^Quote Not Closed/) },
  ]);
});

it('JSON: the items of a list, by their numbers, whatever stands in them', async () => {
  expect(await read(json, '\ufeff [ {"a":"],[\\"{"} ,\n[[1],{"b":[2]}],null, "x" ]\n')).toEqual([
    { line: 1, value: { a: '],["{' } },
    { line: 2, value: [[1], { b: [2] }] },
    { line: 3, value: null },
    { line: 4, value: 'x' },
  ]);
  for (const nothing of ['', ' \n', '[]', ' [ \n ] ']) expect(await read(json, nothing)).toEqual([]);
});

it('JSON: an item that is none, or too long, is named, and the next one is read', async () => {
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
])('JSON: a list that is at fault as a whole is read as far as it goes, and said: %s', async (text, fault) => {
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
      const lines = await read(csv, ['id,note', ...rows].join('\r\n'), cuts);
      const note = (field: string) => (field.trim() === '' ? { id: 'x' } : { id: 'x', note: field.trim() });
      expect(lines.map((line) => ('value' in line ? line.value : line))).toEqual(fields.map(note));
    }),
    { numRuns: 200 },
  );
});
