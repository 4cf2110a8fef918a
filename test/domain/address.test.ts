/** One mailbox, strictly read: what is accepted comes back whole, and nothing that could inject a header or command is accepted. */
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import {
  formatMailbox,
  makeMailbox,
  maskAddress,
  maskAddresses,
  parseDomain,
  parseMailbox,
} from '../../src/domain/address.ts';

describe('a mailbox', () => {
  it.each([
    ['a@b.co', { address: 'a@b.co' }],
    ['  a@b.co ', { address: 'a@b.co' }],
    ['<a@b.co>', { address: 'a@b.co' }],
    ['Ada <a@b.co>', { address: 'a@b.co', name: 'Ada' }],
    ['"Lovelace, Ada" <a@b.co>', { address: 'a@b.co', name: 'Lovelace, Ada' }],
    ['"a \\"quoted\\" name" <a@b.co>', { address: 'a@b.co', name: 'a "quoted" name' }],
    ['Åsa Öberg <a@b.co>', { address: 'a@b.co', name: 'Åsa Öberg' }],
    ["o'hara+tag!x@x.com", { address: "o'hara+tag!x@x.com" }],
    ['"odd @ local"@x.com', { address: '"odd @ local"@x.com' }],
    ['user@EXAMPLE.com', { address: 'user@example.com' }],
    ['" Ada " <a@b.co>', { address: 'a@b.co', name: 'Ada' }],
    ['" " <a@b.co>', { address: 'a@b.co' }],
    ['a@XN--Exmple-cua.com', { address: 'a@xn--exmple-cua.com' }],
    ['Üser@exämple.com', { address: 'Üser@xn--exmple-cua.com' }],
    ['a@localhost', { address: 'a@localhost' }],
    ['jose\u0301@c.com', { address: 'jos\u00e9@c.com' }],
    ['Jose\u0301 <jose\u0301@c.com>', { address: 'jos\u00e9@c.com', name: 'Jose\u0301' }],
    ['a@bu\u0308cher.example', { address: 'a@xn--bcher-kva.example' }],
    ['\u212aim@c.com', { address: 'Kim@c.com' }],
  ])('%s is read', (text, mailbox) => {
    expect(parseMailbox(text)).toEqual(mailbox);
  });

  it.each([
    '',
    'nobody',
    '@b.co',
    'a@',
    'a@b',
    'a@-b.co',
    'a@b..co',
    'a@1.2.3.4',
    'a@[127.0.0.1]',
    '.a@b.co',
    'a..b@b.co',
    'a b@b.co',
    'a\u00a0b@b.co',
    'a\u200bb@b.co',
    'a\u3164b@b.co',
    'a\u034fb@b.co',
    '=?utf-8?Q?evil=40x.co=3E?=@b.co',
    '"=?utf-8?Q?evil=40x.co?="@b.co',
    '=?utf-8?Q?J=C3=B6rg?= <a@b.co>',
    '"=?utf-8?B?DQpCY2M6IGV2aWxAeC5jbw==?=" <a@b.co>',
    'a@b.co, c@d.co',
    'a@b.co;c@d.co',
    'Group: a@b.co;',
    'Ada, Bob <a@b.co>',
    'x@y.co <a@b.co>',
    'Ada <a@b.co> Bob <c@d.co>',
    'Ada <a@b.co',
    'a@b.co>',
    'Ada <<a@b.co>>',
    'Ada <a@b.co>\r\nBcc: x@y.co',
    'Ada\n <a@b.co>',
    'a\0@b.co',
    'a\u037eb@b.co',
    'a@b.co\u2028',
    `"a${' '.repeat(61)}b" <a@b.co>`,
    '"a\r\n"@b.co',
    '"><"@b.co',
    'a@exa%6dple.co',
    'a@ex/ample.cö',
    'a@b.cö:25',
    'Ada \ud800 <a@b.co>',
    `${'x'.repeat(65)}@b.co`,
    `a@${`${'x'.repeat(63)}.`.repeat(4)}co`,
  ])('%j is refused with a reason', (text) => {
    expect(parseMailbox(text)).toEqual({ fault: expect.stringMatching(/\w/) });
  });

  it.each([
    ['a quoted name', `"${'a'.repeat(20_000_000)}" <a@b.co>`],
    ['spaces around it', `${' '.repeat(1_500)}a@b.co`],
  ])('over 1,500 characters is not looked at, whatever it is: %s', (_, text) => {
    const fault = 'is over 1500 characters';
    expect([parseMailbox(text), makeMailbox(text, undefined), makeMailbox('a@b.co', text)]).toEqual([
      { fault },
      { fault },
      { fault },
    ]);
  });

  it('has no A-labels made of a domain over 253 characters, which would take the square of that', () => {
    using parse = vi.spyOn(URL, 'parse');
    const domain = `${'漢'.repeat(250)}.co`;
    expect(parseDomain(`${domain}m`)).toEqual({ fault: 'has a domain over 253 characters' });
    expect(parseMailbox(`a@${domain}m`)).toEqual({ fault: 'has a domain over 253 characters' });
    expect(parse).not.toHaveBeenCalled();
    expect(parseDomain(domain)).toEqual({ fault: expect.stringContaining('is not a host name') });
    expect(parse).toHaveBeenCalledOnce();
  });

  it('as an object takes any name but one with control characters', () => {
    expect(makeMailbox('a@b.co', 'Ada "the first", Countess <x>')).toEqual({
      address: 'a@b.co',
      name: 'Ada "the first", Countess <x>',
    });
    expect(makeMailbox('a@b.co', 'Ada\r\nBcc: x@y.co')).toHaveProperty('fault');
    expect(makeMailbox('a@b.co', '=?utf-8?q?J=C3=B6rg?=')).toHaveProperty('fault');
    expect(makeMailbox('a@b.co\r\n', undefined)).toHaveProperty('fault');
    expect(makeMailbox('Ada <a@b.co>', undefined)).toHaveProperty('fault');
  });

  it('survives being written and read again, whatever the name', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), (name) => {
        const made = makeMailbox('a@b.co', name);
        if ('fault' in made) return;
        expect(parseMailbox(formatMailbox(made))).toEqual(made);
      }),
    );
  });

  it('is never read with a control character, space or angle bracket in its address, whatever is given', () => {
    const pieces = fc.constantFrom(
      'a',
      'b.co',
      '@',
      '<',
      '>',
      '"',
      '\\',
      ',',
      ';',
      ':',
      ' ',
      '\r',
      '\n',
      '\0',
      '(',
      ')',
      '.',
      'ö',
      '\u2028',
      '[',
      ']',
      '%',
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 14 }), (parts) => {
        const read = parseMailbox(parts.join(''));
        if ('fault' in read) return;
        expect(read.address).not.toMatch(/[\p{Cc}<>\u2028]/u);
        expect(read.name ?? '').not.toMatch(/\p{Cc}/u);
        expect(parseMailbox(read.address)).toEqual({ address: read.address });
      }),
      { numRuns: 5_000 },
    );
  });

  it('is masked to its first letter and domain for logs', () => {
    expect(maskAddress('grace@example.org')).toBe('g***@example.org');
    expect(maskAddresses('550 <grace@example.org>: unknown, see ada@example.com')).toBe(
      '550 <g***@example.org>: unknown, see a***@example.com',
    );
    expect(maskAddresses(`<"john doe"@example.org>, 'sinead.o'connor@example.org'`)).toBe(
      `<"***@example.org>, '***@example.org'`,
    );
    expect(maskAddresses('a@b@example.com at @home, ask ö@x.co')).toBe('a***@example.com at @home, ask ö***@x.co');
  });
});
