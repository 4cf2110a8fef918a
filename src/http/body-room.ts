/** Room for the bodies of requests that are in hand at once: read whole, each takes several times its size in memory until it is answered. */
import type { Readable } from 'node:stream';

/** Bytes of a body that any route takes. */
export const smallBodyBytes = 256 * 1024;

/** The place of one request. */
export type BodyPlace = {
  /** Whether there is room for a body of so many bytes, beside what has come of the others; none is taken. */
  fits(bytes: number): boolean;
  /** @returns whether there is room for the bytes that have come of it so far; then it is taken, in place of what was taken before */
  grow(bytes: number): boolean;
  /** For good: what of a body is read after its answer takes no room. */
  leave(): void;
};

export type BodyRoom = {
  /** @param isLarge whether it is known to be; else it is once so much of it has come */
  enter(isLarge: boolean): BodyPlace;
};

/** What is taken of a part of the room. */
type Part = { readonly maxBytes: number; taken: number };

/**
 * Small bodies have half as much room, apart. What counts is what has come, not what was announced, which may never come. Beside what is no
 * more than a small one together, a body has room whatever its size: of two that grow beyond it, one always passes.
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

/** Counts a body as it comes in. @param check called with the bytes so far; what it throws is told to whoever reads the body, and the rest is let through uncounted */
export function countBody(body: Readable, check: (bytes: number) => void): void {
  let bytes = 0;
  const count = (chunk: Buffer) => {
    bytes += chunk.length;
    try {
      check(bytes);
    } catch (error) {
      body.off('data', count);
      // To destroy it would take the connection along, and the answer with it.
      body.emit('error', error);
    }
  };
  body.on('data', count);
}
