/**
 * Limits the memory for request bodies in work at once, and what of it one key may take: a body that is read whole takes several times its size
 * until it is answered.
 */
import type { Readable } from 'node:stream';

/** Bytes up to which a body counts as small. Every route accepts that much. */
export const smallBodyBytes = 256 * 1024;

/** What is used up, so that a body has to be refused: the room of all, or the share of its key. */
export type UsedUp = 'room' | 'share';

/** The place of one request's body. */
export type BodyPlace = {
  /** What is used up for a body of this size, given the bytes that other bodies have received; null when it fits. Reserves nothing. */
  lacks(bytes: number): UsedUp | null;
  /** As `lacks`, for the bytes received so far. If there is room, they are reserved instead of what this request had reserved before. */
  grow(bytes: number): UsedUp | null;
  /** Gives back the room for good: the rest of a body that is read after its answer takes none. */
  leave(): void;
};

type BodyRoom = {
  /**
   * @param isLarge whether the body is known to be large; else it counts as large once so many bytes have come
   * @param rootId of the key that sends it, by which shares are counted
   */
  enter(isLarge: boolean, rootId: string): BodyPlace;
};

/** The share that one key may have of what other keys leave free. The rest is for the next key. */
const shareOfKey = 3 / 4;

/** One part of the room, for small or for large bodies. */
type Part = { readonly maxBytes: number; taken: number; readonly ofKeys: Map<string, number> };

/**
 * Small bodies have a room of their own, half as large. Bytes received count, not the announced length: those bytes may never come. While all
 * others together have no more than one small body, a body fits whatever its size: so of two that outgrow the room, one always passes. The same
 * holds for the share of a key.
 */
export function makeBodyRoom(maxBytes: number): BodyRoom {
  const large: Part = { maxBytes, taken: 0, ofKeys: new Map() };
  const small: Part = { maxBytes: maxBytes / 2, taken: 0, ofKeys: new Map() };
  return {
    enter(isLarge, rootId) {
      let mine = 0;
      let isGone = false;
      const partFor = (bytes: number) => (isLarge || bytes > smallBodyBytes ? large : small);
      function lacks(bytes: number): UsedUp | null {
        const part = partFor(bytes);
        const counted = part === partFor(mine) ? mine : 0;
        const others = part.taken - counted;
        const ofKey = (part.ofKeys.get(rootId) ?? 0) - counted;
        if (others > smallBodyBytes && others + bytes > part.maxBytes) return 'room';
        const share = shareOfKey * (part.maxBytes - (others - ofKey));
        return ofKey > slack(part) && ofKey + bytes > share ? 'share' : null;
      }
      function take(bytes: number): void {
        add(partFor(mine), rootId, -mine);
        add(partFor(bytes), rootId, bytes);
        mine = bytes;
      }
      return {
        lacks,
        grow(bytes) {
          if (isGone || bytes <= mine) return null;
          const usedUp = lacks(bytes);
          if (usedUp === null) take(bytes);
          return usedUp;
        },
        leave() {
          take(0);
          isGone = true;
        },
      };
    },
  };
}

/** Bytes that a key may have in hand besides a body of any size. Otherwise two small bodies of one key would fill the smallest room. */
function slack({ maxBytes }: Part): number {
  return Math.min(smallBodyBytes, (1 - shareOfKey) * maxBytes);
}

function add(part: Part, rootId: string, bytes: number): void {
  const ofKey = (part.ofKeys.get(rootId) ?? 0) + bytes;
  part.taken += bytes;
  if (ofKey === 0) part.ofKeys.delete(rootId);
  else part.ofKeys.set(rootId, ofKey);
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
