/** The body of a part: that its encoding is the one that suits it, keeps to the rules of it, and decodes to what was given. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Body, base64, textBody } from '../../src/outbound/mime-body.ts';
import { quotedPrintableLimit, surveyText, writeQuotedPrintable } from '../../src/outbound/quoted-printable.ts';
import { nastyText } from '../support/nasty-text.ts';
import { readMessage } from '../support/strict-mime.ts';

/** What `write` makes of it, which must stay within the room it asked for. */
function written({ maxOctets, write }: Body): string {
  const before = 5;
  const out = Buffer.alloc(before + maxOctets + 100, ' ');
  const end = write(out, before);
  expect(end - before).toBeLessThanOrEqual(maxOctets);
  expect(out.toString('latin1', 0, before) + out.toString('latin1', end)).toMatch(/^ +$/);
  return out.toString('latin1', before, end);
}

/** By a reader that knows nothing of ours. */
function decoded(body: Body): string {
  return readMessage(
    Buffer.from(`Content-Transfer-Encoding: ${body.encoding}\r\n\r\n${written(body)}`, 'latin1'),
  ).body.toString();
}

function withCrlf(text: string): string {
  return text.replace(/\r\n?|\n/g, '\r\n');
}

const x = (count: number) => 'x'.repeat(count);

describe('quoted-printable', () => {
  const cases: [what: string, text: string, expected: string][] = [
    ['nothing', '', ''],
    ['an equals sign', 'a=b', 'a=3Db'],
    ['a space at the end of a line', `a \nb  \r\nc`, 'a=20\r\nb =20\r\nc'],
    ['a tab at the end of a line', `a\t\n\tb \t`, 'a=09\r\n\tb =09'],
    ['a line of one space', `\n \n`, '\r\n=20\r\n'],
    ['a lone CR', `a\rb`, 'a\r\nb'],
    ['mixed line breaks', `\r\r\n\n\n\r`, '\r\n\r\n\r\n\r\n\r\n'],
    ['lines that begin with a dot', `.\n.\n..\na.`, '=2E\r\n=2E\r\n=2E.\r\na.'],
    ['a line that begins with From', `From a\nFrom me\nFromage\nfrom`, '=46rom a\r\n=46rom me\r\nFromage\r\nfrom'],
    ['a line of 75', `\n${x(75)}\nb`, `\r\n${x(75)}\r\nb`],
    ['a line of 76', `${x(76)}\n`, `${x(75)}=\r\nx\r\n`],
    ['a line of 200', x(200), `${x(75)}=\r\n${x(75)}=\r\n${x(50)}`],
    ['a space where a line is full', `${x(75)} b`, `${x(75)}=\r\n b`],
    ['a space before a soft break', `${x(74)} bc`, `${x(74)} =\r\nbc`],
    ['a last space where an escape has room', `${x(72)} \n`, `${x(72)}=20\r\n`],
    ['a last space where an escape has none', `${x(73)} \n`, `${x(73)}=\r\n=20\r\n`],
    ['an escape where it has room', `${x(72)}=${x(3)}`, `${x(72)}=3D=\r\n${x(3)}`],
    ['an escape where it has none', `${x(73)}=${x(3)}`, `${x(73)}=\r\n=3D${x(3)}`],
    ['a dot after a soft break', `${x(75)}.com`, `${x(75)}=\r\n=2Ecom`],
    ['From after a soft break', `${x(75)}From `, `${x(75)}=\r\n=46rom=20`],
    ['two octets of one character', `${x(70)}é`, `${x(70)}=\r\n=C3=A9`],
    ['three octets of one character', `${x(66)}€${x(9)}`, `${x(66)}=E2=82=AC=\r\n${x(9)}`],
    ['four octets of one character', `${x(64)}😀`, `${x(64)}=\r\n=F0=9F=98=80`],
    ['DEL', 'a\x7fb', 'a=7Fb'],
  ];
  it.each(cases)('writes %s', (_, text, expected) => {
    const octets = Buffer.from(text);
    const maxOctets = quotedPrintableLimit(octets, surveyText(octets));
    const write = (out: Buffer, at: number) => writeQuotedPrintable(octets, out, at);
    expect(written({ encoding: 'quoted-printable', maxOctets, write })).toBe(expected);
  });
});

describe('a text', () => {
  it.each([
    ['nothing', '', ''],
    ['short lines of ASCII', `.\n.a\r${x(76)}`, `.\r\n.a\r\n${x(76)}`],
    ['spaces at the end of a short line', 'a \n-- \n', 'a \r\n-- \r\n'],
  ])('of %s stays as it is, its line breaks made CRLF', (_, text, expected) => {
    const body = textBody(text);
    expect(body.encoding).toBe('7bit');
    expect(written(body)).toBe(expected);
  });

  it.each(['a\nFrom me', 'From me', `a\n${x(77)}`, `${x(77)}\na`, `é${x(9)}`, `\x7f${x(9)}`])(
    'that some relay would change is quoted-printable: %j',
    (text) => {
      expect(textBody(text).encoding).toBe('quoted-printable');
      expect(decoded(textBody(text))).toBe(withCrlf(text));
    },
  );

  it('that is mostly beyond ASCII is base64, with CRLF in it', () => {
    const text = 'Привет, 漢字\nещё\r';
    expect(textBody(text).encoding).toBe('base64');
    expect(decoded(textBody(text))).toBe(withCrlf(text));
  });

  it('takes the encoding that is shorter', () => {
    const lengthOf = (body: Body) => written(body).length;
    for (let share = 0; share <= 100; share++) {
      const text = `${'é'.repeat(share)}${x(400 - share)}`;
      expect(lengthOf(textBody(text))).toBeLessThan(lengthOf(base64(Buffer.from(text))) * 1.05);
    }
    expect(textBody(`é${x(40)}`).encoding).toBe('quoted-printable');
    expect(textBody(`${'é'.repeat(10)}${x(10)}`).encoding).toBe('base64');
  });

  it('decodes to itself, in lines of 76 and ASCII without a space at the end, whatever it is', () => {
    const piece = fc.oneof(
      nastyText.map((text) => text.toWellFormed()),
      fc.constantFrom(' ', '\t', '\n', '\r', '.', 'From ', '=', '\n.', '\nFrom ', 'x'.repeat(72), 'Ж'.repeat(40)),
      fc.integer({ min: 60, max: 80 }).map(x),
    );
    const texts = fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join('').replaceAll('\0', ''));
    const encodings = new Set<string>();
    const property = fc.property(texts, (text) => {
      const body = textBody(text);
      encodings.add(body.encoding);
      expect(decoded(body)).toBe(withCrlf(text));
      const lines = written(body).split('\r\n');
      expect(lines.filter((line) => line.length > 76 || /[^\t -~]|^From /.test(line))).toEqual([]);
      if (body.encoding === 'quoted-printable') expect(lines.filter((line) => /[ \t]$|^\./.test(line))).toEqual([]);
    });
    fc.assert(property, { numRuns: 2_000, interruptAfterTimeLimit: 15_000 });
    expect(encodings.size).toBe(3);
  });
});

describe('base64', () => {
  it('is written in lines of 76, whatever the length', () => {
    for (const length of [0, 1, 2, 3, 56, 57, 58, 113, 114, 115, 5_700, 10_000]) {
      const octets = Buffer.from(Array.from({ length }, (_, i) => i * 7));
      const expected = octets.toString('base64').match(/.{1,76}/g) ?? [];
      const body = base64(octets);
      expect(written(body)).toBe(expected.join('\r\n'));
      expect(body.maxOctets).toBe(written(body).length);
    }
  });
});
