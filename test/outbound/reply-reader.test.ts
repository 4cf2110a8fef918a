/** Replies out of the chunks in which they come, and what a server said that closed in the middle of a line. */
import { expect, it } from 'vitest';
import { makeReplyReader } from '../../src/outbound/reply-reader.ts';

function read(...chunks: string[]) {
  const replies: string[] = [];
  const reader = makeReplyReader((reply) => void replies.push(reply));
  for (const chunk of chunks) reader.read(Buffer.from(chunk));
  return { replies, last: reader.lastWords() };
}

it('a reply is passed on once its last line has come, in however many pieces', () => {
  expect(read('250-a\r', '\n250 b\r\n25', '0 c\n')).toEqual({ replies: ['250-a\n250 b', '250 c'], last: null });
});

it.each([
  ['421 4.7.0 Too many err', '421 4.7.0 Too many err'],
  ['554-5.7.1 Bl\u00f6ck\r', '554-5.7.1 Bl\u00f6ck'],
  ['250 2.0.0 Ok', null],
  ['354 Go', null],
  ['42', null],
  ['421 Bye\r\n', null],
])('of %j that breaks off, the last words are %j: a refusal holds without its end', (text, last) => {
  expect(read('220 Hello\r\n', text).last).toBe(last);
});
