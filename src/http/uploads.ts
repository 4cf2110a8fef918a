/** What an upload route does: checks each record, stores the valid ones in batches, and counts what became of them. */
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { z } from 'zod';
import { maxNamedFaults, namedFaults, type UploadBatch, type UploadFault } from '../domain/campaign-recipient.ts';
import { faultsOf, wording } from './faults.ts';
import { ProblemError, sentenceOf } from './problems.ts';
import { isListFault, type Line, type ListFault, type RecordType, readRecords } from './records.ts';

/** Records stored in one step. */
const batchSize = 1_000;
/** Bytes of an upload after which a batch is stored, however few records it has: parsed JSON may take twenty times its size in memory. */
const maxBatchBytes = 1024 * 1024;

export const uploadAnswer = {
  received: z.int().meta({ description: 'Records in the upload.' }),
  added: z.int().meta({ description: 'New records.' }),
  duplicates: z.int().meta({ description: 'Records that were added before, or that are repeated in this upload.' }),
  invalid: z.int().meta({ description: 'Records that are not valid and were skipped.' }),
  complete: z.boolean().meta({
    description:
      'Whether the whole list was read. False if the list itself is faulty at some place, for example JSON that is not closed. Nothing after that place was read, and the last of `errors` names it.',
  }),
  errors: z
    .array(
      z.object({
        line: z.int().meta({ description: 'The line in the upload, from 1.' }),
        message: z.string().meta({ description: 'What is wrong with it.' }),
      }),
    )
    .meta({
      description: `The first ${maxNamedFaults} errors, and the one where reading stopped if \`complete\` is false.`,
    }),
};

type Uploaded = {
  received: number;
  added: number;
  duplicates: number;
  invalid: number;
  complete: boolean;
  errors: { line: number; message: string }[];
};

/** The form of one record. */
type RecordForm<Item> = {
  readonly schema: z.ZodType<Item>;
  /** As in `readRecords`. */
  readonly columns: readonly string[];
};

/** What an upload asks of the rest. */
type Taking<Item> = {
  /** Returns how many records of a batch are new. */
  store(items: readonly Item[]): Promise<number>;
  /** As in `Batching`. */
  isKeyValid(): Promise<boolean>;
};

/**
 * @throws ProblemError as `readBatches` does
 */
export async function takeUpload<Item>(
  body: Readable,
  type: RecordType,
  form: RecordForm<Item>,
  { store, isKeyValid }: Taking<Item>,
): Promise<Uploaded> {
  const taken: Uploaded = { received: 0, added: 0, duplicates: 0, invalid: 0, complete: true, errors: [] };
  for await (const batch of readBatches(body, type, form, { size: batchSize, isHashed: false, isKeyValid })) {
    const { items, faults } = batch;
    const added = items.length === 0 ? 0 : await store(items);
    taken.received += batch.received;
    taken.added += added;
    taken.duplicates += items.length - added;
    taken.invalid += faults.length;
    taken.complete = !batch.breaksOff;
    taken.errors = namedFaults(taken.errors, batch);
  }
  return taken;
}

/** How records are put into batches. */
type Batching = {
  /** Records of a batch at most; fewer when they are long. */
  readonly size: number;
  /** Whether batches need a hash; it is empty otherwise. */
  readonly isHashed: boolean;
  /** Whether the key of the upload is still valid. */
  isKeyValid(): Promise<boolean>;
};

/**
 * Batches of records; the last one has the rest. The same upload always gives the same batches. When the caller stops early, the rest of the
 * body is dropped unread, so that the answer still arrives.
 * @throws ProblemError 422 when nothing of the upload can be understood; 401 when its key was revoked, before the next batch; 400 when its gzip
 * is broken, which says whether a batch was stored before
 */
export async function* readBatches<Item>(
  body: Readable,
  type: RecordType,
  { schema, columns }: RecordForm<Item>,
  batching: Batching,
): AsyncGenerator<UploadBatch<Item>> {
  let batch = openBatch(schema, batching);
  let isBegun = false;
  let isStored = false;
  const told = (error: unknown) => (error instanceof ProblemError ? brokenOff(error, isStored) : error);
  for await (const lines of readRecords(leaving(body, told), type, columns)) {
    for (const line of lines) {
      if (!isBegun && isListFault(line)) throw notUnderstood(line);
      isBegun = true;
      if (!batch.take(line)) continue;
      yield await unlessRevoked(batch.end(), batching);
      isStored = true;
      batch = openBatch(schema, batching);
    }
  }
  const last = batch.end();
  if (last.received > 0) yield await unlessRevoked(last, batching);
}

/** An upload may last for hours: its key is asked about before each batch. A batch in hand when the key is revoked is stored all the same. */
async function unlessRevoked<Batch>(batch: Batch, { isKeyValid }: Pick<Batching, 'isKeyValid'>): Promise<Batch> {
  if (await isKeyValid()) return batch;
  throw new ProblemError('invalid_api_key', `The API key was revoked during this upload. ${storedBefore}`);
}

const storedBefore = 'What was stored before that stays; the rest was not read';
/** An earlier request with the same key may have stored a part. */
const storedNothing = 'This request stored nothing';

/** A fault of the body itself, such as gzip that ends too early. */
function brokenOff({ problem, message }: ProblemError, isStored: boolean): ProblemError {
  return new ProblemError(problem, `${message}. ${isStored ? storedBefore : storedNothing}`);
}

function notUnderstood({ line, fault }: ListFault): ProblemError {
  const message = `line ${line}: ${fault}. ${storedNothing}`;
  return ProblemError.of('validation_error', [{ pointer: '', code: 'custom', message }]);
}

/** Does not destroy the stream when the reader stops: that would close the connection. */
async function* leaving(body: Readable, told: (error: unknown) => unknown): AsyncGenerator<Buffer> {
  try {
    yield* body.iterator({ destroyOnReturn: false });
  } catch (error) {
    throw told(error);
  } finally {
    body.resume();
  }
}

/** Turns each record into an item or a fault at once: the JSON of 64 KB may take megabytes, an item takes little. */
function openBatch<Item>(schema: z.ZodType<Item>, { size, isHashed }: Omit<Batching, 'isKeyValid'>) {
  const items: Item[] = [];
  const faults: UploadFault[] = [];
  const digest = isHashed ? createHash('sha256') : null;
  let received = 0;
  let bytes = 0;
  let breaksOff = false;
  return {
    /** @returns whether the batch is full now, which depends on the upload alone */
    take(line: Line): boolean {
      const item = readItem(line, schema);
      if (typeof item === 'string') faults.push({ line: line.line, message: item });
      else items.push(item.value);
      digest?.update(`${JSON.stringify(line)}\n`);
      received += 1;
      breaksOff = isListFault(line);
      if ('bytes' in line) bytes += line.bytes;
      return received >= size || bytes >= maxBatchBytes;
    },
    end: (): UploadBatch<Item> => ({ received, items, faults, hash: digest?.digest('base64url') ?? '', breaksOff }),
  };
}

/** @returns the value, or what is wrong in words */
function readItem<Item>(line: Line, schema: z.ZodType<Item>): { readonly value: Item } | string {
  if ('fault' in line) return line.fault;
  const parsed = schema.safeParse(line.value, wording);
  if (parsed.success) return { value: parsed.data };
  return faultsOf(parsed.error.issues).map(sentenceOf).join('; ');
}
