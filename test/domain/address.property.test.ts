/** The address parser under attack: whatever is given, what comes back is one clean mailbox or a fault, and it is the same to any other reader. */
import { domainToASCII } from 'node:url';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import addressparser from 'nodemailer/lib/addressparser';
import { describe, expect, it } from 'vitest';
import {
  type AddressFault,
  formatMailbox,
  type Mailbox,
  makeMailbox,
  maskAddress,
  maskAddresses,
  parseMailbox,
} from '../../src/domain/address.ts';
import { nastyText, slyText } from '../support/nasty-text.ts';

const anyText = fc.oneof(nastyText, slyText, fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }));

/** Addresses with something nasty in one place, so that much of it comes to be accepted. */
const nearlyAddress = fc.oneof(
  fc.tuple(slyText, fc.constantFrom('@b.co', '@exämple.com', '@B.CO')).map((parts) => parts.join('')),
  fc.tuple(fc.constantFrom('a@', 'ö@', '"a b"@'), slyText, fc.constantFrom('', '.co')).map((parts) => parts.join('')),
  fc.tuple(slyText, fc.constantFrom(' <a@b.co>', '<ö@b.co>', ' <"a b"@b.co>')).map((parts) => parts.join('')),
  slyText.map((text) => `"${text}"@b.co`),
  slyText.map((text) => `"${text}" <a@b.co>`),
);

const atext = "abcXYZ019!#$%&'*+-/=?^_`{|}~";
const quotable = ` ${atext}.,:;()@[]`;

/** Letters of one script each: what the domain label and the local part of one address are made of. */
const scripts = [
  'abcxyz09', 'áçéñöøłž', 'αβγδωλ', 'абвгджя', 'աբգդե', 'აბგდე', 'אבגדה', 'ابتثج', 'कखगघच', 'กขคงจ', '漢字電郵日本', 'あいうえお', 'カキクケコ', '가나다라마',
]; // biome-ignore format: one list reads best as one block

const word = (characters: string, maxLength: number) =>
  fc.string({ unit: fc.constantFrom(...characters), minLength: 1, maxLength });

const dotAtom = (characters: string) =>
  fc.array(word(characters, 8), { minLength: 1, maxLength: 4 }).map((atoms) => atoms.join('.'));

const quotedLocal = fc
  .array(fc.oneof(fc.constantFrom(...quotable), fc.constantFrom('\\"', '\\\\', '\\a', '\\ ')), {
    minLength: 1,
    maxLength: 30,
  })
  .map((parts) => `"${parts.join('')}"`);

/** Without its quotes and backslashes. */
const unquoted = (local: string) => (local.startsWith('"') ? local.slice(1, -1).replace(/\\(.)/g, '$1') : local);

const isAtoms = (text: string) =>
  text.split('.').every((atom) => atom !== '' && [...atom].every((one) => atext.includes(one)));

/** As few characters as say it. */
const simplest = (local: string) => {
  const text = unquoted(local);
  return !local.startsWith('"') || isAtoms(text) ? text : JSON.stringify(text);
};

const local = fc.oneof(
  dotAtom(atext),
  quotedLocal,
  fc
    .constantFrom(...scripts)
    .chain((letters) => dotAtom(letters + atext))
    .filter((text) => Buffer.byteLength(text) <= 64),
);

const domain = fc
  .array(
    fc.constantFrom(...scripts).chain((letters) => word(letters, 10)),
    { minLength: 1, maxLength: 3 },
  )
  .chain((labels) => fc.constantFrom('com', 'COM', 'рф', '香港', 'xn--p1ai').map((top) => [...labels, top].join('.')));

function isRead(read: Mailbox | AddressFault): read is Mailbox {
  return !('fault' in read);
}

/** Everything a mailbox promises, whatever it was read from. */
function expectClean({ address, name }: Mailbox): void {
  const unquoted = address.replace(/^"(?:[^"\\]|\\.)*"/u, '');
  expect(unquoted.split('@')).toHaveLength(2);
  expect(address).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}<>]/u);
  expect(address.replace(/^".*"@/u, '@')).not.toMatch(/[\s"(),:;\\[\]]/u);
  expect(address.isWellFormed()).toBe(true);
  expect(address.normalize('NFC')).toBe(address);
  const at = address.lastIndexOf('@');
  expect(Buffer.byteLength(address)).toBeLessThanOrEqual(254);
  expect(Buffer.byteLength(address.slice(0, at))).toBeLessThanOrEqual(64);
  expect(address.slice(at + 1)).toMatch(/^[a-z0-9-]+(?:\.[a-z0-9-]+)*$/);
  expect(address.slice(at + 1)).toBe(domainToASCII(address.slice(at + 1)));
  if (name === undefined) return;
  expect(name).toBe(name.trim());
  expect(name).not.toMatch(/^$|[\p{Cc}\u2028\u2029]|=\?[^?]*\?[bq]\?[^?]*\?=/iu);
}

/** A quoted local part without its quoting; the other parser leaves out some of its spaces and backslashes, which is its affair. */
function meant(address: string): string {
  return address.startsWith('"') ? address.replace(/[\s"\\]/g, '') : address;
}

/** The same to ourselves and to the parser the mail composer uses (which drops a name that only repeats the address), however it is written. */
function expectFixed(mailbox: Mailbox): void {
  const { address, name = '' } = mailbox;
  expect(parseMailbox(formatMailbox(mailbox))).toEqual(mailbox);
  expect(parseMailbox(`<${address}>`)).toEqual({ address });
  expect(makeMailbox(address, name)).toEqual(mailbox);
  const seen = addressparser(formatMailbox(mailbox), { flatten: true });
  expect(seen.map((one) => ({ ...one, address: meant(one.address) }))).toEqual([
    { address: meant(address), name: name === address ? '' : name },
  ]);
}

describe('whatever is given', () => {
  it('as text, it is refused or is one clean mailbox, the same when written and read again', () => {
    fc.assert(
      fc.property(fc.oneof(anyText, nearlyAddress), (text) => {
        const read = parseMailbox(text);
        if (!isRead(read)) return void expect(read.fault).toMatch(/\w/);
        expectClean(read);
        expectFixed(read);
      }),
      { numRuns: 2_000 },
    );
  });

  it('as an object, it is refused or is one clean mailbox, the same when written and read again', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.constant('a@b.co'), nearlyAddress),
        fc.option(anyText, { nil: undefined }),
        (email, name) => {
          const made = makeMailbox(email, name);
          if (!isRead(made)) return void expect(made.fault).toMatch(/\w/);
          expectClean(made);
          expectFixed(made);
          expect(made.name ?? '').toBe((name ?? '').trim());
        },
      ),
      { numRuns: 2_000 },
    );
  });
});

describe('an address that the standards allow', () => {
  it('is read and comes back as given, except for needless quotes and backslashes, and its domain in lower-case A-labels', () => {
    fc.assert(
      fc.property(local, domain, (before, after) => {
        const address = `${simplest(before)}@${domainToASCII(after)}`;
        for (const read of [parseMailbox(`${before}@${after}`), makeMailbox(`${before}@${after}`, undefined)]) {
          expect(read).toEqual({ address });
          expectClean({ address });
          expectFixed({ address });
        }
      }),
      { numRuns: 1_200 },
    );
  });
});

describe('a mailbox', () => {
  it('is one, however its letters are composed', () => {
    fc.assert(
      fc.property(local, domain, (before, after) => {
        const text = `${before}@${after}`;
        const decomposed = text.normalize('NFD');
        expect(parseMailbox(decomposed)).toEqual(parseMailbox(text));
        expect(makeMailbox(decomposed, 'A')).toEqual(makeMailbox(text, 'A'));
      }),
      { numRuns: 1_200 },
    );
  });

  it('is one, however its local part is quoted', () => {
    const text = fc.oneof(
      dotAtom(atext),
      fc.array(fc.constantFrom(...quotable, '"', '\\'), { minLength: 1, maxLength: 20 }).map((all) => all.join('')),
    );
    fc.assert(
      fc.property(text, fc.infiniteStream(fc.boolean()), (meant, isEscaped) => {
        const quoted = [...meant]
          .map((one) => (/["\\]/.test(one) || isEscaped.next().value ? `\\${one}` : one))
          .join('');
        const address = `${isAtoms(meant) ? meant : JSON.stringify(meant)}@b.co`;
        expect(parseMailbox(`"${quoted}"@B.co`)).toEqual({ address });
        expect(makeMailbox(`"${quoted}"@b.co`, 'A')).toEqual({ address, name: 'A' });
      }),
      { numRuns: 1_200 },
    );
  });

  it('is also refused in quotes if it would be shown as something else', () => {
    for (const local of ['"=?utf-8?q?a?="', '"=\\?utf-8?\\q?a?="'])
      expect(parseMailbox(`${local}@b.co`)).toMatchObject({ fault: expect.stringContaining('encoded word') });
  });
});

/** What a server's reply, an error or a certificate may have before and after an address. */
const frames = [
  ['', ''], ['554 5.7.1 <', '>: Relay access denied'], ['ask "Ann Lee" <', '>, please'], ['unknown (', ')'], ['it\'s ', ' again'], ['email:', ', DNS:x'],
  ['said "hello, ', '; that is it'], ['a:', '\n550 no'], ['"a\\" ', ' "b"'], ['ann@x.example, ', ' bob@y.example'],
] as const; // biome-ignore format: one list reads best as one block

describe('whatever mailbox is accepted', () => {
  it('is masked in any text, as it was written and as it is stored', () => {
    fc.assert(
      fc.property(local, domain, fc.constantFrom(...frames), (before, after, [left, right]) => {
        const written = `${before}@${after}`;
        const read = parseMailbox(written);
        for (const address of [written, isRead(read) ? read.address : written]) {
          const [masked, end] = [maskAddresses(`${left}${address}${right}`), maskAddress(address).slice(1)];
          const shown = masked.slice(0, masked.lastIndexOf(`${end}${maskAddresses(right)}`));
          // More may be masked: a quote before it may seem to belong to it.
          expect(`${maskAddresses(left)}${address.slice(0, 1)}`).toSatisfy((all: string) => all.startsWith(shown));
          expect(masked).toBe(`${shown}${end}${maskAddresses(right)}`);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('text without end', () => {
  const size = 200_000;
  const many = (text: string) => text.repeat(Math.ceil(size / text.length));
  it.each([
    'a',
    '.',
    'a.',
    '-',
    '@',
    'a@',
    '<',
    '>',
    '<>',
    '"',
    '\\',
    '\\"',
    '"\\',
    ' ',
    '\u00a0',
    '(',
    ',',
    'ö',
    'ö.',
    '。',
    '=?',
    '=?a?q?',
    '?=',
    '😀',
    'xn--',
    '"@',
    '"a"@',
    '"a" ',
  ])('of %j is read in linear time, wherever it stands', (text) => {
    // biome-ignore format: one list reads best as one block
    const inputs = [
      many(text), `${many(text)}@b.co`, `a@${many(text)}`, `a@${many(text)}!`, `${many(text)} <a@b.co>`, `"${many(text)}" <a@b.co>`, `"${many(text)}"@b.co`,
      `"${many(text)}`, `<${many(text)}>`, `x${many(text)}\0`,
    ]; // biome-ignore format: one list reads best as one block
    const work = () => {
      for (const input of inputs) {
        parseMailbox(input);
        makeMailbox(input, input);
        maskAddresses(input);
      }
    };
    // Linear work takes well under a second; quadratic work on this much text takes minutes, and is stopped.
    runInNewContext('work()', { work }, { timeout: 15_000 });
  });
});
