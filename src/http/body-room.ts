/** Room for the bodies of large requests that are in hand at once: read whole, each takes several times its size in memory until it is answered. */
import type { Readable } from 'node:stream';
import { tooLarge } from './problems.ts';

/** Bytes of a body that needs no room: what any route takes. */
export const smallBodyBytes = 256 * 1024;

/** The place of one request. */
export type BodyPlace = {
  /** @returns whether there is room for a body of so many bytes; then it is taken, in place of what was taken before */
  grow(bytes: number): boolean;
  /** For good: what of a body is read after its answer takes no room. */
  leave(): void;
};

/** One body has room whatever its size, when no other is there: of two that grow beyond it, one always passes. */
export function makeBodyRoom(maxBytes: number): { enter(): BodyPlace } {
  let taken = 0;
  return {
    enter() {
      let mine = 0;
      let isGone = false;
      return {
        grow(bytes) {
          if (isGone || bytes <= smallBodyBytes || bytes <= mine) return true;
          const others = taken - mine;
          if (others > 0 && others + bytes > maxBytes) return false;
          mine = bytes;
          taken = others + mine;
          return true;
        },
        leave() {
          taken -= mine;
          mine = 0;
          isGone = true;
        },
      };
    },
  };
}

/**
 * A body whose size is known only once it has been read. After a fault the rest is let through unread, so that the answer arrives.
 * @param maxBytes one byte more is a fault, which is told here: whoever reads it stops listening when they find it, and hears of no other
 * @param check called with the bytes so far; what it throws is a fault
 */
export async function* measured(
  body: Readable,
  maxBytes: number,
  check: (bytes: number) => void,
): AsyncGenerator<Buffer> {
  let bytes = 0;
  try {
    for await (const chunk of body.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxBytes) throw tooLarge(maxBytes);
      check(bytes);
      yield chunk;
    }
  } finally {
    body.resume();
  }
}
