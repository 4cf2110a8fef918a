/** Dot-stuffing: a reader that undoes it has the message, and nothing before the end looks like it (RFC 5321 section 4.5.2). */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { dotStuffed } from '../../src/outbound/dot-stuffing.ts';

/** As a server reads it: lines until a lone dot, one dot less where one begins a line. */
function read(data: string): string {
  const lines = data.split('\r\n');
  const end = lines.indexOf('.');
  expect(lines.slice(end + 1)).toEqual(['']);
  return lines
    .slice(0, end)
    .map((line) => `${line.replace(/^\./, '')}\r\n`)
    .join('');
}

it.each([
  ['', '\r\n.\r\n'],
  ['a\r\n', 'a\r\n.\r\n'],
  ['a', 'a\r\n.\r\n'],
  ['.', '..\r\n.\r\n'],
  ['.\r\n', '..\r\n.\r\n'],
  ['a\r\n.\r\n.b\r\n..\r\n', 'a\r\n..\r\n..b\r\n...\r\n.\r\n'],
  ['a.\r\nb.c\r\n', 'a.\r\nb.c\r\n.\r\n'],
])('%j is sent as %j', (message, data) => {
  expect(dotStuffed(Buffer.from(message)).toString()).toBe(data);
});

it('a server that removes the dots reads any message unchanged', () => {
  const line = fc.array(fc.constantFrom('.', '..', 'a', ' ', '='), { maxLength: 4 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(fc.array(line, { maxLength: 8 }), (lines) => {
      const message = lines.map((text) => `${text}\r\n`).join('');
      expect(read(dotStuffed(Buffer.from(message)).toString())).toBe(message === '' ? '\r\n' : message);
    }),
    { numRuns: 2_000 },
  );
});
