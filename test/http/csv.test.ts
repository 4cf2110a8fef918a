/** Lines of CSV: no text in them is a formula to a spreadsheet, and what is read back is what was written. */
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { csvLine, textIn } from '../../src/http/csv.ts';

it.each([
  ['=HYPERLINK("https://x.co")', `"'=HYPERLINK(""https://x.co"")"\r\n`],
  ['+1', "'+1\r\n"],
  ['-1', "'-1\r\n"],
  ['@SUM(A1)', "'@SUM(A1)\r\n"],
  ['\t=1', `"'\t'=1"\r\n`],
  ['x;=1+1;', `"x;'=1+1;"\r\n`],
  ['x\t @SUM(A1)', `"x\t' @SUM(A1)"\r\n`],
  ['x;"=1+1', `"x;'""=1+1"\r\n`],
  ['x\n-1', `"x\n'-1"\r\n`],
  ['x; y', `"x; y"\r\n`],
  ["'=1", "''=1\r\n"],
  ["'tis", "'tis\r\n"],
  ['1=1', '1=1\r\n'],
])('%j is written so that it is no formula', (text, line) => {
  expect(csvLine(['name'], [text])).toBe(line);
});

it('an address stays as it is', () => {
  expect(csvLine(['email', 'note'], ['=a@x.co', '=a@x.co'])).toBe("=a@x.co,'=a@x.co\r\n");
  expect(csvLine(['email'], ['"a;=1"@x.co'])).toBe(`"""a;=1""@x.co"\r\n`);
});

const character = fc.oneof(fc.constantFrom(...`'=+-@\t\r\n;, "`), fc.string({ maxLength: 1 }));
const anyText = fc.array(character, { maxLength: 8 }).map((characters) => characters.join(''));

it('any text comes back as it was, and begins as no formula does', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const [[field = ''] = []]: string[][] = parse(csvLine(['name', 'note'], [text, '.']), {
        record_delimiter: '\r\n',
      });
      expect(field).not.toMatch(/^[=+\-@\t\r]/);
      expect(textIn(field)).toBe(text);
    }),
    { numRuns: 1_000 },
  );
});

it('no cell begins as a formula does where a spreadsheet splits at semicolons or tabs, whatever it makes of quotes', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      for (const cell of csvLine(['id', 'name', 'note'], ['1', text, '.']).split(/[;\t\r\n]/))
        expect(cell).not.toMatch(/^[ "]*[=+\-@]/);
    }),
    { numRuns: 1_000 },
  );
});
