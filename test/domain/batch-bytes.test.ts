/** How long a batch is with its base written out: all that is stored with each email counts, and a batch over the limit is refused. */
import { describe, expect, it } from 'vitest';
import { batchSchemasFor, readBatch } from '../../src/domain/batch.ts';
import { good, testLimits } from '../support/requests.ts';

const schemas = batchSchemasFor(testLimits);

function readAll(given: unknown) {
  const reading = readBatch(schemas.body.parse(given), schemas, { maxIssues: 0 });
  for (let messages = 0; ; messages++) {
    const step = reading.next();
    if (step.done) return { issues: [], bytes: 0, ...step.value, messages };
  }
}

const tooLong = expect.stringMatching(
  /^with the base written out, the emails are over 41943040 bytes together, .*: send/,
);

/** Bytes of all texts in a value, without what JSON puts around them. */
function textBytes(value: unknown): number {
  if (typeof value !== 'object' || value === null) return Buffer.byteLength(String(value));
  return Object.values(value).reduce((sum: number, member) => sum + textBytes(member), 0);
}

describe('a batch', () => {
  const numbered = (count: number, make: (n: number) => object) => Array.from({ length: count }, (_, n) => make(n));
  const long = 'w '.repeat(2_046).trimEnd().padEnd(4_092, 'w');
  it.each([
    ['headers', { headers: Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`X-${10 + n}`, long])) }],
    [
      'files',
      { attachments: numbered(100, (n) => ({ filename: `f${n}`, path: `https://x.co/${'p'.repeat(2_000)}` })) },
    ],
    ['tags', { tags: numbered(50, (n) => ({ name: `${'n'.repeat(250)}${n}`, value: 'v'.repeat(256) })) }],
    ['metadata', { metadata: { a: 'é'.repeat(2_000) } }],
    ['recipients', { to: numbered(50, (n) => ({ email: `r${n}@x.co`, name: 'N'.repeat(320) })) }],
    ['addresses for replies', { reply_to: numbered(50, (n) => ({ email: `r${n}@x.co`, name: 'N'.repeat(320) })) }],
    ['the subject', { subject: 'é '.repeat(498) }],
    ['the id', { external_id: 'i'.repeat(256) }],
  ])('counts %s of its base for each of its messages, names and values, as they are stored', (_, shared) => {
    const bytesOf = (messages: number) =>
      readAll({ base: { ...good, ...shared }, messages: Array(messages).fill({}) }).bytes;
    const written = Object.values(shared).reduce((sum, value) => sum + textBytes(value), 0);
    const each = bytesOf(3) - bytesOf(2);
    expect(each).toBeGreaterThanOrEqual(written);
    expect(each).toBeLessThan(2 * written);
  });

  it.each([
    ['is no longer than a request may be', 203, []],
    ['would be longer, and is read no further', 205, [tooLong]],
    ['would be gigabytes', 1_000, [tooLong]],
  ])('that %s with its base written out is told so', (_, messages, faults) => {
    // 204,800 characters of headers in each.
    const headers = Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`X-${10 + n}`, long]));
    const reading = readAll({ base: { ...good, headers }, messages: Array(messages).fill({}) });
    expect(reading.issues.map(({ message }) => message)).toEqual(faults);
    expect(reading.messages).toBeLessThan(206);
  });

  it.each([
    ['usual emails', { reply_to: 'r@x.co', tags: [{ name: 't', value: '1' }], metadata: { order: 1 } }, () => ({})],
    ['whole letters', {}, (n: number) => ({ text: `${n}`, html: `${n}`.padEnd(40_000, 'x') })],
    ['one letter', { html: 'x'.repeat(5_000_000) }, () => ({})],
    [
      'one file',
      { attachments: [{ filename: 'a', content: Buffer.alloc(5_000_000).toString('base64') }] },
      (n: number) => ({ subject: `${n}` }),
    ],
    ['template variables', { template: { id: 't', variables: { a: 'x'.repeat(200_000) } }, text: null }, () => ({})],
  ])('of a thousand emails with %s is taken', (_, shared, own) => {
    const messages = numbered(1_000, (n) => ({ to: `r${n}@x.co`, ...own(n) }));
    expect(readAll({ base: { ...good, ...shared }, messages }).issues).toEqual([]);
  });
});
