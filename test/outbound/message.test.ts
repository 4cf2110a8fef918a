/** How the parts of a message are put into one Buffer. */
import { describe, expect, it } from 'vitest';
import { type Part, writeMessage } from '../../src/outbound/message.ts';
import { type Body, textBody } from '../../src/outbound/mime-body.ts';

function leaf(name: string, body: Body = textBody(name)): Part {
  return { header: `X-Name: ${name}\r\n`, body };
}

describe('a message', () => {
  it('has its parts between lines of their own (RFC 2046 section 5.1.1)', () => {
    const inner: Part = { type: 'multipart/alternative', parts: [leaf('b'), leaf('c')] };
    const raw = writeMessage('X-A: ö\r\n', { type: 'multipart/mixed', parts: [leaf('a'), inner] }, 'em');
    const part = (name: string) => `X-Name: ${name}\r\nContent-Transfer-Encoding: 7bit\r\n\r\n${name}\r\n`;
    expect(raw.toString()).toBe(
      [
        'X-A: ö\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="=_em_1"\r\n\r\n',
        `--=_em_1\r\n${part('a')}`,
        '--=_em_1\r\nContent-Type: multipart/alternative; boundary="=_em_2"\r\n\r\n',
        `--=_em_2\r\n${part('b')}--=_em_2\r\n${part('c')}--=_em_2--\r\n`,
        '\r\n--=_em_1--\r\n',
      ].join(''),
    );
  });

  it.each([
    ['a', 'a\r\n'],
    ['a\n', 'a\r\n'],
    ['', ''],
  ])('with one part %j ends in a line break', (text, expected) => {
    const raw = writeMessage('', leaf('x', textBody(text)), 'em').toString();
    expect(raw.slice(raw.indexOf('\r\n\r\n') + 4)).toBe(expected);
  });

  it('is not silently cut off if a part is longer than it said', () => {
    const body: Body = { encoding: '7bit', maxOctets: 2, write: (out, at) => at + out.write('long', at) };
    expect(() => writeMessage('', leaf('x', body), 'em')).toThrow('longer than it said');
  });
});
