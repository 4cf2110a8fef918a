/** The list of a campaign: a file, uploaded as it is. */
import { hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { type Api, UnreadFault } from './api.ts';

export type Uploaded = {
  readonly received: number;
  readonly added: number;
  readonly duplicates: number;
  readonly invalid: number;
  /** False when the list broke off. */
  readonly complete: boolean;
  /** The first records that are not valid. */
  readonly errors: readonly { readonly line: number; readonly message: string }[];
  readonly missing_variables: readonly string[];
};

export type List = {
  readonly path: string;
  upload(api: Api, campaignId: string): Promise<Uploaded>;
};

const types: Readonly<Record<string, string>> = {
  csv: 'text/csv',
  ndjson: 'application/x-ndjson',
  jsonl: 'application/x-ndjson',
  json: 'application/json',
};

/** Bytes of a list that are hashed, to tell it from another list of the same size and time. */
const maxHashedBytes = 64 * 1024;

/** @returns what is wrong, when the file cannot be read or its type is unknown */
export async function openList(path: string): Promise<List | { readonly fault: string }> {
  const headers = headersOf(path);
  if (headers === null)
    return {
      fault: `The type of ${path} is not clear from its name, which must end in .csv, .ndjson or .json, or one of these and .gz`,
    };
  const read = await nameOf(path).catch((error: Error) => ({ fault: `${path} cannot be read: ${withoutCall(error)}` }));
  if (typeof read !== 'string') return read;
  const named = { ...headers, 'idempotency-key': read };
  return {
    path,
    upload: (api, campaignId) => {
      const stream = Readable.from(readList(path, createReadStream(path)), { objectMode: false });
      return api('POST', `/campaigns/${campaignId}/recipients`, { headers: named, stream });
    },
  };
}

/** What Node says of a file, without the call and the path behind it: `ENOENT: no such file or directory`. */
function withoutCall({ message }: Error): string {
  return message.replace(/, \w+(?: '.*')?$/s, '');
}

/** Reads a list in chunks. @throws UnreadFault when it cannot be read further */
export async function* readList(path: string, chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const reading = chunks[Symbol.asyncIterator]();
  let bytes = 0;
  try {
    for (;;) {
      // Only the read itself: the consumer of what was read may throw here too.
      const read = await reading.next().catch((error: Error) => {
        throw new UnreadFault(`${path} cannot be read from byte ${bytes} on: ${error.message}`);
      });
      if (read.done) return;
      yield read.value;
      bytes += read.value.length;
    }
  } finally {
    await reading.return?.();
  }
}

/** The name of the upload: the same list continues where it broke off, a corrected list is a new upload. */
async function nameOf(path: string): Promise<string | { readonly fault: string }> {
  await using file = await open(path);
  const { size, mtimeMs, isFile } = await file.stat().then((found) => ({ ...found, isFile: found.isFile() }));
  if (!isFile) return { fault: `${path} is not a file that can be read` };
  const { buffer, bytesRead } = await file.read(Buffer.alloc(maxHashedBytes), 0, maxHashedBytes, 0);
  return `cli-${size}-${mtimeMs}-${hash('sha256', buffer.subarray(0, bytesRead), 'base64url')}`;
}

function headersOf(path: string): Readonly<Record<string, string>> | null {
  const [, ending = '', packed] = /\.([a-z]+)(\.gz)?$/i.exec(path) ?? [];
  const type = types[ending.toLowerCase()];
  if (type === undefined) return null;
  return { 'content-type': type, ...(packed === undefined ? {} : { 'content-encoding': 'gzip' }) };
}
