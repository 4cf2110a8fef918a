/** Unpacks a gzip body as it streams in, and stops at a limit: a small body that unpacks to gigabytes costs no more than the limit. */
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { ProblemError, tooLarge } from './problems.ts';

/** The stream fastify reads a body from. Fastify compares `receivedEncodedLength` with Content-Length. */
type Unpacked = Readable & { receivedEncodedLength: number };

const unpackedChunkBytes = 64 * 1024;

/**
 * Reads nothing before the first read of the result. After a fault the rest of the packed body is dropped, so that the answer arrives and the
 * connection can be used again.
 * @param maxBytes of the packed body, and of the unpacked body
 * @param check gets the unpacked bytes so far; what it throws is a fault
 */
export function gunzipBody(packed: Readable, maxBytes: number, check: (bytes: number) => void): Unpacked {
  const unpacked: Unpacked = Object.assign(Readable.from(unpack(), { objectMode: false }), {
    receivedEncodedLength: 0,
  });
  return unpacked;

  async function* unpack(): AsyncGenerator<Buffer> {
    const gunzip = createGunzip({ chunkSize: unpackedChunkBytes });
    const stop = (error: Error) => void gunzip.destroy(error);
    const count = (chunk: Buffer) => {
      unpacked.receivedEncodedLength += chunk.length;
      // A gzip header may be endless and unpack to nothing, so the packed bytes are limited too.
      if (unpacked.receivedEncodedLength > maxBytes) stop(tooLarge(maxBytes));
    };
    let bytes = 0;
    packed.on('data', count).on('error', stop).pipe(gunzip);
    try {
      for await (const chunk of gunzip as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        if (bytes > maxBytes) throw tooLarge(maxBytes);
        check(bytes);
        yield chunk;
      }
    } catch (error) {
      throw error instanceof ProblemError ? error : notGzip(error as Error);
    } finally {
      packed.off('data', count).unpipe(gunzip).resume();
    }
  }
}

function notGzip(error: Error): ProblemError {
  return new ProblemError('unreadable_request', `The body cannot be unpacked with gzip: ${error.message}`);
}
