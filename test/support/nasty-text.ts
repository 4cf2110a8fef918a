/** Text that has broken mail software: pieces of syntax, line ends, invisible characters and encodings, put together at random. */
import fc from 'fast-check';

/** Where one piece of mail syntax ends and another begins, for somebody. */
const syntax = [
  '"', '\\', '\\"', '<', '>', ',', ';', ':', '@', '.', '..', '(', ')', '(a (b) c)', '[', ']', '[127.0.0.1]', '%', '!', "'", '=', '?',
  '<@a,@b:c@d.co>', 'a%b@c.co', 'a!b', 'a@b.co', '"a b"@c.co', ' <a@b.co>', 'Group: a@b.co, c@d.co;', 'undisclosed-recipients:;',
]; // biome-ignore format: one list reads best as one block

/** What ends a line or a string, for somebody. */
const breaks = [
  '\r',
  '\n',
  '\r\n',
  '\r\n\r\n',
  '\n.\n',
  '\r\n.\r\n',
  '\0',
  '\u0085',
  '\u2028',
  '\u2029',
  '\v',
  '\f',
  '\x1b',
  '\x7f',
];

/** A header, should the text before it ever be able to end its own. */
const injections = [
  '\r\nBcc: evil@x.co', '\nBcc: evil@x.co', '\rBcc: evil@x.co', '\r\n Bcc: evil@x.co', 'Bcc: evil@x.co', '\r\n\r\n<b>body</b>', '\r\nDATA\r\n',
  '=?utf-8?Q?=0D=0ABcc:_evil@x.co?=', '=?utf-8?B?DQpCY2M6IGV2aWxAeC5jbw==?=', '=?utf-8?q?J=C3=B6rg?=', '=?ISO-8859-1?Q?a?= =?utf-8?b?Yg==?=',
  '=?utf-8?X?x?=', '=?utf-8?Q?a b?=', '=?', '?=', '=?utf-8?Q?', '=0D=0A', '%0d%0a', "utf-8''%0D%0A", '; filename=evil.exe', '"; name="evil.exe',
]; // biome-ignore format: one list reads best as one block

/** What is not seen, or makes other text look different. */
const unseen = [
  ' ', '  ', '\t', '\u00a0', '\u00ad', '\u034f', '\u200b', '\u200d', '\u200e', '\u200f', '\u202e', '\u2066', '\u2060', '\u3000', '\u3164', '\ufe0f',
  '\ufeff', '\ufffd', '\u0301', '\u{e0041}',
]; // biome-ignore format: one list reads best as one block

const letters = [
  'a',
  'Z',
  '0',
  '-',
  '_',
  'é',
  'ß',
  'İ',
  'ж',
  'ש',
  'ع',
  '漢',
  '。',
  '😀',
  '👩‍🚀',
  'exa',
  'b.co',
  'xn--',
  'xn--a',
  'Ö.com',
];

const long = [
  'x'.repeat(70),
  'x'.repeat(900),
  'é'.repeat(80),
  ' '.repeat(90),
  'word '.repeat(40),
  '"'.repeat(80),
  'a.'.repeat(130),
];

/** Not Unicode at all. */
const broken = ['\ud800', '\udfff'];

const piece = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...letters) },
  { weight: 4, arbitrary: fc.constantFrom(...syntax) },
  { weight: 1, arbitrary: fc.constantFrom(...breaks) },
  { weight: 2, arbitrary: fc.constantFrom(...injections) },
  { weight: 2, arbitrary: fc.constantFrom(...unseen) },
  { weight: 1, arbitrary: fc.constantFrom(...long) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 3 }) },
);

/** Everything, also what every door refuses. */
export const nastyText: fc.Arbitrary<string> = fc
  .array(fc.oneof({ weight: 20, arbitrary: piece }, { weight: 1, arbitrary: fc.constantFrom(...broken) }), {
    maxLength: 12,
  })
  .map((pieces) => pieces.join(''));

/** What mostly gets past a door that refuses control characters and broken Unicode, where the work begins. */
export const slyText: fc.Arbitrary<string> = nastyText.map((text) =>
  text.toWellFormed().replace(/\p{Cc}|\u2028|\u2029/gu, ''),
);
