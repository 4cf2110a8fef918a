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
  ['\t=1', "'\t=1\r\n"],
  ["'=1", "''=1\r\n"],
  ["'tis", "'tis\r\n"],
  ['1=1', '1=1\r\n'],
])('%j is written so that it is no formula', (text, line) => {
  expect(csvLine(['name'], [text])).toBe(line);
});

it('an address stays as it is', () => {
  expect(csvLine(['email', 'note'], ['=a@x.co', '=a@x.co'])).toBe("=a@x.co,'=a@x.co\r\n");
});

it('any text comes back as it was, and begins as no formula does', () => {
  const character = fc.oneof(fc.constantFrom(...`'=+-@\t\r"`), fc.string({ maxLength: 1 }));
  fc.assert(
    fc.property(fc.array(character, { maxLength: 6 }), (characters) => {
      const text = characters.join('');
      const [[field = ''] = []]: string[][] = parse(csvLine(['name', 'note'], [text, '.']), {
        record_delimiter: '\r\n',
      });
      expect(field).not.toMatch(/^[=+\-@\t\r]/);
      expect(textIn(field)).toBe(text);
    }),
  );
});
