/** Limits the memory for request bodies in work at once: a body that is read whole takes several times its size until it is answered. */
import type { Readable } from 'node:stream';

/** Bytes up to which a body counts as small. Every route accepts that much. */
export const smallBodyBytes = 256 * 1024;

/** The place of one request's body. */
export type BodyPlace = {
  /** Whether a body of this size has room beside the bytes that others have received. Reserves nothing. */
  fits(bytes: number): boolean;
  /** @returns whether there is room for the bytes received so far. If so, they are reserved instead of what this request had reserved before. */
  grow(bytes: number): boolean;
  /** Gives back the room for good: what of a body is still read after its answer takes none. */
  leave(): void;
};

type BodyRoom = {
  /** @param isLarge whether the body is known to be large; else it counts as large once so many bytes have come */
  enter(isLarge: boolean): BodyPlace;
};

/** One part of the room, for small or for large bodies. */
type Part = { readonly maxBytes: number; taken: number };

/**
 * Small bodies have a room of their own, half as large. Bytes received count, not the announced length: those bytes may never come. While all
 * others together have no more than one small body, a body fits whatever its size: so of two that outgrow the room, one always passes.
 */
export function makeBodyRoom(maxBytes: number): BodyRoom {
  const large: Part = { maxBytes, taken: 0 };
  const small: Part = { maxBytes: maxBytes / 2, taken: 0 };
  return {
    enter(isLarge) {
      let mine = 0;
      let isGone = false;
      const partFor = (bytes: number) => (isLarge || bytes > smallBodyBytes ? large : small);
      const othersIn = (part: Part) => part.taken - (part === partFor(mine) ? mine : 0);
      function fits(bytes: number): boolean {
        const part = partFor(bytes);
        const others = othersIn(part);
        return others <= smallBodyBytes || others + bytes <= part.maxBytes;
      }
      function take(bytes: number): void {
        partFor(mine).taken -= mine;
        partFor(bytes).taken += bytes;
        mine = bytes;
      }
      return {
        fits,
        grow(bytes) {
          if (isGone || bytes <= mine) return true;
          if (!fits(bytes)) return false;
          take(bytes);
          return true;
        },
        leave() {
          take(0);
          isGone = true;
        },
      };
    },
  };
}

/**
 * Counts a body as it comes in.
 * @param check gets the bytes so far. What it throws is emitted as an error of the body; the rest of the body then passes uncounted.
 */
export function countBody(body: Readable, check: (bytes: number) => void): void {
  let bytes = 0;
  const count = (chunk: Buffer) => {
    bytes += chunk.length;
    try {
      check(bytes);
    } catch (error) {
      body.off('data', count);
      // Destroying the stream would close the connection, and the answer would be lost.
      body.emit('error', error);
    }
  };
  body.on('data', count);
}
