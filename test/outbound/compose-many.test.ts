/** Letters that have most of their lines, or pieces, in common: each is the very message that it would be alone, whatever was composed before it. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Woven } from '../../src/domain/woven.ts';
import { whole } from '../../src/domain/woven.ts';
import { compose, makeComposer } from '../../src/outbound/compose.ts';
import { nastyText } from '../support/nasty-text.ts';
import { storedEmail } from '../support/requests.ts';

const line = fc.oneof(
  nastyText.map((text) => text.toWellFormed().replaceAll('\0', '')),
  fc.constantFrom(
    '',
    ' ',
    'From me',
    '.',
    'a=b',
    'x'.repeat(75),
    'x'.repeat(76),
    'x'.repeat(77),
    'Ж'.repeat(40),
    '{{unsubscribe_url}}',
  ),
);
/** Lines that recur, as in letters made of one template, in the order of each. */
const letters = fc
  .array(line, { minLength: 1, maxLength: 8 })
  .chain((lines) => fc.array(fc.record({ html: pick(lines), text: pick(lines) }), { minLength: 1, maxLength: 6 }));

function pick(lines: readonly string[]) {
  return fc.option(fc.array(fc.constantFrom(...lines), { maxLength: 12 }).map((some) => some.join('\n')));
}

it('a letter with known lines has the same bytes as without them', async () => {
  const email = storedEmail([]);
  const property = fc.asyncProperty(letters, fc.option(fc.constant('https://x.example/u/1')), async (given, url) => {
    const composeNext = makeComposer();
    for (const letter of given) {
      const content = { ...letter, headers: {}, attachments: [] };
      const alone = await compose(email, content, new Map(), url);
      expect((await composeNext(email, content, new Map(), url)).toString('latin1')).toBe(alone.toString('latin1'));
    }
  });
  await fc.assert(property, { numRuns: 500 });
});

/** What a template's letters are made of: some pieces that all have, of many lines or within one, and what stands between them. */
const piece = fc
  .array(fc.oneof(line, fc.constant('\n'), fc.constant('\r\n')), { minLength: 1, maxLength: 6 })
  .map((parts) => parts.join(''))
  .filter((text) => text !== '');
const wovenLetters = fc
  .array(piece, { minLength: 1, maxLength: 5 })
  .chain((common) => fc.array(fc.record({ html: weave(common), text: weave(common) }), { minLength: 1, maxLength: 6 }));

function weave(common: readonly string[]): fc.Arbitrary<Woven | null> {
  return fc.option(fc.array(fc.oneof(fc.constantFrom(...common), piece), { maxLength: 8 }));
}

it('a text in pieces has the same bytes as the joined text', async () => {
  const email = storedEmail([]);
  const property = fc.asyncProperty(
    wovenLetters,
    fc.option(fc.constant('https://x.example/u/1')),
    async (given, url) => {
      const composeNext = makeComposer();
      for (const { html, text } of given) {
        const rest = { headers: {}, attachments: [] };
        const alone = await compose(email, { html: whole(html), text: whole(text), ...rest }, new Map(), url);
        const woven = await composeNext(email, { html, text, ...rest }, new Map(), url);
        expect(woven.toString('latin1')).toBe(alone.toString('latin1'));
      }
    },
  );
  await fc.assert(property, { numRuns: 500 });
});
