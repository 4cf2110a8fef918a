/** Packs contents of all sizes at once: what is laid out for one must not reach another. */
import { expect, it } from 'vitest';
import { packContent, unpackContent } from '../../src/store/content.ts';

/** Below and above what is compressed, and what the thread pool compresses. */
const lengths = [0, 1, 900, 1_023, 1_024, 5_000, 65_000, 65_535, 65_536, 70_000, 300_000];
const noFile = async () => null;

it('keeps contents apart that are packed at the same time', async () => {
  const contents = [...lengths, ...lengths.toReversed()].map((length, n) => ({
    html: `<p>${String(n % 10).repeat(length)} é</p>`,
    text: n % 3 === 0 ? null : `letter ${n} ☕`,
    headers: { 'X-Number': String(n) },
    attachments: [],
  }));
  const packed = await Promise.all(contents.map((content) => packContent(content)));
  const read = await Promise.all(packed.map((bytes) => unpackContent(bytes, noFile)));
  expect(read).toEqual(contents);
});
