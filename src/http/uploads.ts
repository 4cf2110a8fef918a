/** What is done with an upload: each record checked, the good ones stored a batch at a time, and told how many were what. */
import { z } from 'zod';
import { faultsOf, wording } from './faults.ts';
import { sentenceOf } from './problems.ts';
import { type Line, type RecordType, readRecords } from './records.ts';

/** Faults that an answer names; of the rest it has the number. */
const maxNamed = 100;
/** Records stored in one step. */
const batchSize = 1_000;

export const uploadAnswer = {
  received: z.int().meta({ description: 'Records in the upload.' }),
  added: z.int().meta({ description: 'Those that are new.' }),
  duplicates: z.int().meta({ description: 'Those that were there before, in the list or in this upload.' }),
  invalid: z.int().meta({ description: 'Those that are not valid, and were passed over.' }),
  errors: z
    .array(
      z.object({
        line: z.int().meta({ description: 'In the upload, counted from 1.' }),
        message: z.string().meta({ description: 'What is wrong with it.' }),
      }),
    )
    .meta({ description: `What is wrong, for the first ${maxNamed}.` }),
};

export type Uploaded = {
  received: number;
  added: number;
  duplicates: number;
  invalid: number;
  errors: { line: number; message: string }[];
};

/** @param store how many of a batch are new */
export async function takeUpload<Item>(
  body: AsyncIterable<Buffer>,
  type: RecordType,
  schema: z.ZodType<Item>,
  store: (items: readonly Item[]) => Promise<number>,
): Promise<Uploaded> {
  const taken: Uploaded = { received: 0, added: 0, duplicates: 0, invalid: 0, errors: [] };
  let batch: Item[] = [];
  async function flush(): Promise<void> {
    const added = batch.length === 0 ? 0 : await store(batch);
    taken.added += added;
    taken.duplicates += batch.length - added;
    batch = [];
  }
  for await (const lines of readRecords(body, type)) {
    for (const line of lines) {
      taken.received += 1;
      const item = readItem(line, schema);
      if (typeof item !== 'string') batch.push(item.value);
      else if (++taken.invalid <= maxNamed) taken.errors.push({ line: line.line, message: item });
      if (batch.length === batchSize) await flush();
    }
  }
  await flush();
  taken.errors.sort((a, b) => a.line - b.line);
  return taken;
}

/** @returns what is wrong, in words */
function readItem<Item>(line: Line, schema: z.ZodType<Item>): { readonly value: Item } | string {
  if ('fault' in line) return line.fault;
  const parsed = schema.safeParse(line.value, wording);
  if (parsed.success) return { value: parsed.data };
  return faultsOf(parsed.error.issues).map(sentenceOf).join('; ');
}
