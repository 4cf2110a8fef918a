/** Replies out of the chunks in which they come, and what a server said that closed in the middle of a line. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { makeReplyReader } from '../../src/outbound/reply-reader.ts';

/** The replies that are read from these chunks, and what is left. */
function readAll(chunks: readonly Buffer[]) {
  const replies: string[] = [];
  const reader = makeReplyReader((reply) => replies.push(reply));
  for (const chunk of chunks) reader.read(chunk);
  return { replies, left: reader.lastWords() };
}

function dividedAt(whole: Buffer, cuts: readonly number[]): readonly Buffer[] {
  const ends = [...cuts.map((cut) => cut % (whole.length + 1)).toSorted((a, b) => a - b), whole.length];
  return ends.map((end, n) => whole.subarray(ends[n - 1] ?? 0, end));
}

const words = fc.string({ unit: fc.constantFrom('a', ' ', '2', '-', 'é', '\r'), maxLength: 12 });
const line = fc
  .tuple(fc.constantFrom('250-', '250 ', '451-', '451 ', '421 ', ''), words, fc.constantFrom('\r\n', '\n'))
  .map((parts) => parts.join(''));
const said = fc.tuple(fc.array(line, { maxLength: 12 }), fc.constantFrom('', '421 4.3.0 bye', '250-so'));

it('a reply is the same however what the server says is divided', () => {
  const property = fc.property(said, fc.array(fc.nat(), { maxLength: 12 }), ([lines, last], cuts) => {
    const whole = Buffer.from(`${lines.join('')}${last}`);
    expect(readAll(dividedAt(whole, cuts))).toEqual(readAll([whole]));
  });
  fc.assert(property, { examples: [[[['250 ok\r\n'], ''], [7]]] });
});

it('a reply keeps the beginning of a line that is too long, however it is divided', () => {
  const kept = `250 ${'x'.repeat(64 * 1_024 - 4)}`;
  const whole = Buffer.from(`250 ${'x'.repeat(150_000)}\r\n250 2.0.0 Ok\r\n`);
  const divided = Array.from({ length: Math.ceil(whole.length / 60_000) }, (_, n) =>
    whole.subarray(n * 60_000, (n + 1) * 60_000),
  );
  for (const chunks of [[whole], divided]) expect(readAll(chunks).replies).toEqual([kept, '250 2.0.0 Ok']);
});

it.each([
  ['421 4.7.0 Too many err', '421 4.7.0 Too many err'],
  ['554-5.7.1 Bl\u00f6ck\r', '554-5.7.1 Bl\u00f6ck'],
  ['250 2.0.0 Ok', null],
  ['354 Go', null],
  ['42', null],
  ['421 Bye\r\n', null],
])('of %j that breaks off, the last words are %j: a refusal holds without its end', (text, last) => {
  expect(readAll(['220 Hello\r\n', text].map((chunk) => Buffer.from(chunk))).left).toBe(last);
});
