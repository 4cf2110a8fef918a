/** Header lines: plain ASCII as it stands, anything else so that a reader has back what was given, and nothing that begins a line of its own. */
import { describe, expect, it } from 'vitest';
import { dateHeader, headerLine, mailboxHeader, textHeader } from '../../src/outbound/mime-headers.ts';
import { decodeWords, headerOf, readMessage } from '../support/strict-mime.ts';

function readBack(line: string): string {
  const [header] = readMessage(Buffer.from(`${line}\r\n`)).headers;
  return decodeWords(header?.value ?? '');
}

describe('a text', () => {
  it.each([
    ['of ASCII', 'Hello, "world": 100% [a] (b) <c@d.e>; =x', 'Subject: Hello, "world": 100% [a] (b) <c@d.e>; =x\r\n'],
    ['with space around it', '  a  b ', 'Subject: a  b\r\n'],
    ['beyond ASCII', 'Jörg', 'Subject: =?UTF-8?Q?J=C3=B6rg?=\r\n'],
    ['mostly beyond ASCII', '漢字', 'Subject: =?UTF-8?B?5ryi5a2X?=\r\n'],
    ['of nothing', ' ', ''],
  ])('%s is written', (_, value, expected) => {
    expect(textHeader('Subject', value)).toBe(expected);
  });

  it.each([
    [
      'List-ID',
      'Société générale <news.x.co>',
      'List-ID: =?UTF-8?Q?Soci=C3=A9t=C3=A9_g=C3=A9n=C3=A9rale?= <news.x.co>',
    ],
    ['Errors-To', '"Jörg, \\"J\\"" <j@x.co>', 'Errors-To: =?UTF-8?Q?J=C3=B6rg=2C_=22J=22?= <j@x.co>'],
    ['Errors-To', 'Joerg <j@x.co>', 'Errors-To: Joerg <j@x.co>'],
  ])('in %s, %s, leaves text in angle brackets readable', (name, value, expected) => {
    expect(textHeader(name, value)).toBe(`${expected}\r\n`);
  });

  it.each([
    '=?utf-8?Q?=0D=0ABcc:_evil@x.co?=',
    'Re: =?utf-8?B?DQpCY2M6IGV2aWxAeC5jbw==?= and =?utf-8?q?a b?=',
    '=?utf-8?X?x?=',
    'a =? b',
    `${'long word '.repeat(30)}end`,
    `${'ä ö "ü" '.repeat(30)}end`,
    `${'😀👩‍🚀'.repeat(40)}`,
    'a\tb',
    '\ud83d\ude00'.repeat(60),
  ])('is read back as it was: %j', (value) => {
    const line = textHeader('X-Long', value);
    expect(readBack(line)).toBe(value);
    expect(line).toMatch(/^[\t\r\n -~]+$/);
    for (const part of line.split('\r\n')) expect(part.length).toBeLessThanOrEqual(78);
  });

  it('has whole characters in each encoded word (RFC 2047 section 5)', () => {
    for (const value of ['😀'.repeat(60), `x${'😀'.repeat(60)}`, `${'abc'.repeat(30)}${'é😀'.repeat(20)}`]) {
      const words = textHeader('Subject', value).match(/=\?UTF-8\?[QB]\?[^?]*\?=/g) ?? [];
      expect(words.length).toBeGreaterThan(3);
      for (const word of words) {
        expect(word.length).toBeLessThanOrEqual(75);
        expect(decodeWords(word)).not.toContain('\ufffd');
      }
    }
  });
});

describe('mailboxes', () => {
  it.each([
    [[{ address: 'a@b.co' }], 'To: a@b.co\r\n'],
    [[{ address: 'a@b.co', name: 'Ada B_1' }, { address: 'c.d+e@f-g.co' }], 'To: Ada B_1 <a@b.co>, c.d+e@f-g.co\r\n'],
    [[{ address: 'a@b.co', name: 'B, "A" \\' }], 'To: "B, \\"A\\" \\\\" <a@b.co>\r\n'],
    [[{ address: 'a@b.co', name: 'Jörg' }], 'To: =?UTF-8?Q?J=C3=B6rg?= <a@b.co>\r\n'],
    [[{ address: 'a@b.co', name: '=?utf-8?q?x?=' }], 'To: "=?utf-8?q?x?=" <a@b.co>\r\n'],
    [[{ address: '"a,b;"@c.co' }], 'To: <"a,b;"@c.co>\r\n'],
    [[{ address: 'ö@xn--exmple-cua.com' }], 'To: ö@exämple.com\r\n'],
    [[{ address: 'a@Exämple.com' }], 'To: a@xn--exmple-cua.com\r\n'],
    [[{ address: 'a@b.co, evil@x.co' }], 'To: <"a@b.co, evil"@x.co>\r\n'],
    [[], ''],
  ])('%j are written', (mailboxes, expected) => {
    expect(mailboxHeader('To', mailboxes)).toBe(expected);
  });

  it('that are many are folded', () => {
    const many = Array.from({ length: 50 }, (_, i) => ({ address: `reader-${i}@example.net`, name: `Reader, ${i}` }));
    const line = mailboxHeader('To', many);
    for (const part of line.split('\r\n')) expect(part.length).toBeLessThanOrEqual(78);
    expect(readBack(line)).toBe(many.map(({ address, name }) => `"${name}" <${address}>`).join(', '));
  });
});

describe('a header', () => {
  it.each([
    ['X-A', 'a\r\nBcc: evil@x.co'],
    ['X-A', 'a\rb'],
    ['X-A', 'a\nb'],
    ['X-A', 'a\0'],
    ['X-A: b\r\nBcc', 'evil@x.co'],
    ['Bcc:', 'a'],
    ['X A', 'a'],
    ['', 'a'],
    ['Ä', 'a'],
  ])('%j of %j is never written', (name, value) => {
    expect(() => headerLine(name, value)).toThrow('not a header');
  });

  it('of text has no line break from it', () => {
    const raw = textHeader('X-A', 'a\r\nBcc: evil@x.co\r\n\r\nbody') + textHeader('X-B', 'a\rb\0');
    const { headers, body } = readMessage(Buffer.from(`${raw}\r\n`));
    expect(headers.map(({ name }) => name)).toEqual(['x-a', 'x-b']);
    expect(body).toHaveLength(0);
  });

  it('with a long word is folded before it', () => {
    expect(headerLine('Message-ID', `<${'x'.repeat(90)}@b.co>`)).toBe(`Message-ID:\r\n <${'x'.repeat(90)}@b.co>\r\n`);
  });

  it('of a date is in UTC (RFC 5322 section 3.3)', () => {
    expect(dateHeader(1_700_000_000_123)).toBe('Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n');
    const { headers } = readMessage(Buffer.from(`${dateHeader(0)}\r\n`));
    expect(headerOf(headers, 'date')).toBe('Thu, 01 Jan 1970 00:00:00 +0000');
  });
});
