/** The batches of an upload: they end by count or by bytes, the same each time, and what was read of a record is not kept. */
import { Readable } from 'node:stream';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { readBatches } from '../../src/http/uploads.ts';

const megabyte = 1024 * 1024;
const schema = z.object({ email: z.string() });

const listOf = (count: number, length: number) =>
  Array.from({ length: count }, (_, n) => ({ email: `${n}@x.co`, more: 'x'.repeat(length) }));

const forms = {
  'application/x-ndjson': (list: object[]) => list.map((one) => JSON.stringify(one)).join('\n'),
  'application/json': (list: object[]) => JSON.stringify(list),
  'text/csv': (list: object[]) => ['email,more', ...list.map((one) => Object.values(one).join(','))].join('\n'),
} as const;

function* cut(text: string, size: number): Generator<Buffer> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function batchesOf(type: keyof typeof forms, list: object[], chunkBytes: number) {
  const body = Readable.from(cut(forms[type](list), chunkBytes));
  const batching = { size: 500, isHashed: true, isKeyValid: async () => true };
  return Array.fromAsync(readBatches(body, type, { schema, columns: ['email'] }, batching));
}

it.each(Object.keys(forms) as (keyof typeof forms)[])(
  '%s: long records end a batch early, wherever the body is cut',
  async (type) => {
    const list = listOf(100, 40_000);
    const batches = await batchesOf(type, list, 65_536);
    expect(batches.flatMap(({ items }) => items)).toEqual(list.map(({ email }) => ({ email })));
    for (const { received } of batches) expect(received * 40_000).toBeLessThan(megabyte + 65_536);
    expect(await batchesOf(type, list, 10_007)).toEqual(batches);
    expect((await batchesOf(type, listOf(1_001, 1), 65_536)).map(({ received }) => received)).toEqual([500, 500, 1]);
  },
);

it('a record is an item as soon as it came, and nothing else is kept of it', async () => {
  let came = 0;
  const cameBefore: number[] = [];
  function* body() {
    for (const one of listOf(100, 1)) {
      came += 1;
      yield Buffer.from(`${JSON.stringify(one)}\n`);
    }
  }
  const form = { schema: schema.transform(() => cameBefore.push(came)), columns: [] };
  const batching = { size: 500, isHashed: false, isKeyValid: async () => true };
  await Array.fromAsync(readBatches(Readable.from(body()), 'application/x-ndjson', form, batching));
  expect(came).toBe(100);
  expect(cameBefore[0]).toBeLessThan(50);
});
