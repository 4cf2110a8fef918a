/** Room for the bodies of large requests that are in hand at once: read whole, each takes several times its size in memory until it is answered. */
import type { Readable } from 'node:stream';

/** Bytes of a body that needs no room: what any route takes. */
export const smallBodyBytes = 256 * 1024;

/** The place of one request. */
export type BodyPlace = {
  /** @returns whether there is room for a body of so many bytes; then it is taken, in place of what was taken before */
  grow(bytes: number): boolean;
  leave(): void;
};

/** One body has room whatever its size, when no other is there: of two that grow beyond it, one always passes. */
export function makeBodyRoom(maxBytes: number): { enter(): BodyPlace } {
  let taken = 0;
  return {
    enter() {
      let mine = 0;
      return {
        grow(bytes) {
          if (bytes <= smallBodyBytes || bytes <= mine) return true;
          const others = taken - mine;
          if (others > 0 && others + bytes > maxBytes) return false;
          mine = bytes;
          taken = others + mine;
          return true;
        },
        leave() {
          taken -= mine;
          mine = 0;
        },
      };
    },
  };
}

/**
 * A body whose size is known only once it has been read.
 * @param check called with the bytes so far; when it throws, the rest is let through unread, so that the answer arrives
 */
export async function* measured(body: Readable, check: (bytes: number) => void): AsyncGenerator<Buffer> {
  let bytes = 0;
  try {
    for await (const chunk of body.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      check(bytes);
      yield chunk;
    }
  } finally {
    body.resume();
  }
}
