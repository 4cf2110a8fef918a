/** Where the rows of CSV end: each is read as if it stood at the head of the list, and what was looked at is not looked through again. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type CsvRow, openCsvRows } from '../../src/http/csv-rows.ts';
import { startCpuClock } from '../support/cpu.ts';

const maxBytes = 12;

function read(text: string, cuts: readonly number[] = []): CsvRow[] {
  const rows = openCsvRows(maxBytes, () => ',');
  const bytes = Buffer.from(text);
  const places = [0, ...cuts.toSorted((a, b) => a - b), bytes.length];
  const taken = places.slice(1).flatMap((place, n) => rows.take(bytes.subarray(places[n], place)));
  return [...taken, ...rows.end()];
}

/** By a reader that begins anew behind each row, and so knows of no other. */
function readOneByOne(text: string): CsvRow[] {
  const lines = text.match(/[^\r\n]*(?:\r\n|\r|\n|$)/g) ?? [];
  const rows: CsvRow[] = [];
  for (let passed = 0; ; ) {
    const [first] = read(lines.slice(passed).join(''));
    if (first === undefined) return rows;
    passed += first.line;
    rows.push({ ...first, line: passed });
  }
}

it('a row is the same whatever comes before it, and wherever the list is cut', () => {
  const piece = fc.constantFrom('"', '"', ',', '","', 'a', '\n', '\n', '\r\n', '\r', 'a","b\n');
  const text = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(''));
  fc.assert(
    fc.property(text, fc.array(fc.nat(80), { maxLength: 20 }), (list, cuts) => {
      expect(read(list, cuts)).toEqual(readOneByOne(list));
    }),
    { numRuns: 5_000 },
  );
});

it.each([
  ['leave a quote open', 'a","b\n', ''],
  ['come to a quote that is misplaced in the end', 'a","b\n', '"x'],
])('rows that %s are read in no more than some times what others take', (_, row, end) => {
  const count = 11_000;
  const cost = (list: string) => {
    const rows = openCsvRows(65_536, () => ',');
    const bytes = Buffer.from(list);
    const cpuMs = startCpuClock();
    for (let at = 0; at < bytes.length; at += 1_000) rows.take(bytes.subarray(at, at + 1_000));
    rows.end();
    return cpuMs();
  };
  const plain = 'a,b,c\n'.repeat(count);
  cost(plain);
  expect(cost(row.repeat(count) + end)).toBeLessThan(10 * cost(plain) + 300);
});
