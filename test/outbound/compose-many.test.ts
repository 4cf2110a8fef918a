/** Letters that have most of their lines in common: each is the very message that it would be alone, whatever was composed before it. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
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

it('the lines that are known already change nothing', async () => {
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
