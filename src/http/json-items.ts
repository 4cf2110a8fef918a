/** Cuts the items of a JSON array of any length apart as its bytes come in: only one item is in memory at a time. */

/** `item` counts from 1. */
type JsonItem = { readonly item: number } & (
  | { readonly bytes: Buffer }
  /** The item is longer than allowed. */
  | { readonly tooLong: true }
  /** The array itself is broken from here on. */
  | { readonly fault: string }
);

const byteOrderMark = Buffer.of(0xef, 0xbb, 0xbf);
const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** Where the reader is: before the array, in one of its items, after it, or in an array that is broken. */
type Stage = 'before' | 'within' | 'behind' | 'broken';

/**
 * Cuts at the commas between items. Whether an item is valid JSON is checked by the caller.
 * @param maxBytes of one item
 */
export function openJsonItems(maxBytes: number) {
  let stage: Stage = 'before';
  let item = 0;
  /** Open brackets within the item. */
  let depth = 0;
  let isString = false;
  let isEscaped = false;
  let held: Buffer[] = [];
  let heldBytes = 0;
  let marked = 0;

  function keep(bytes: Buffer): void {
    // Of an item that is too long, only enough is kept to show that it is.
    if (bytes.length === 0 || heldBytes > maxBytes) return;
    held.push(bytes);
    heldBytes += bytes.length;
  }

  function cut(rest: Buffer): JsonItem {
    keep(rest);
    const bytes = held.length === 1 ? (held[0] as Buffer) : Buffer.concat(held);
    const isTooLong = heldBytes > maxBytes;
    held = [];
    heldBytes = 0;
    item += 1;
    return isTooLong ? { item, tooLong: true } : { item, bytes };
  }

  /** Whether the byte ends an item: a comma or closing bracket at the depth of the array itself. */
  function endsItem(byte: number): boolean {
    if (isString) {
      if (isEscaped) isEscaped = false;
      else if (byte === backslash) isEscaped = true;
      else if (byte === quote) isString = false;
      return false;
    }
    if (byte === quote) isString = true;
    else if (byte === openBrace || byte === openBracket) depth += 1;
    else if (depth > 0 && (byte === closeBrace || byte === closeBracket)) depth -= 1;
    else return depth === 0 && (byte === comma || byte === closeBracket);
    return false;
  }

  /** @returns the items that end in this chunk */
  function take(chunk: Buffer): JsonItem[] {
    const items: JsonItem[] = [];
    let from = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at] as number;
      if (stage === 'within') {
        if (!endsItem(byte)) continue;
        const last = cut(chunk.subarray(from, at));
        from = at + 1;
        if (byte === closeBracket) stage = 'behind';
        // An empty array has no item.
        if (byte !== closeBracket || item > 1 || !isBlank(last)) items.push(last);
      } else if (!isSpace(byte)) {
        if (stage === 'before' && byte === byteOrderMark[marked]) marked += 1;
        else if (stage === 'before' && byte === openBracket) {
          stage = 'within';
          from = at + 1;
        } else {
          items.push({ item: item + 1, fault: outside(stage) });
          stage = 'broken';
          return items;
        }
      }
    }
    if (stage === 'within') keep(Buffer.from(chunk.subarray(from)));
    return items;
  }

  return {
    take,
    isBroken: () => stage === 'broken',
    /** The fault once the whole body has come; null when there is none, or the body is empty. */
    end(): { readonly item: number; readonly fault: string } | null {
      if (stage === 'before' && marked > 0) return { item: 1, fault: outside(stage) };
      return stage === 'within' ? { item: item + 1, fault: 'the list is not closed with ]' } : null;
    },
  };
}

function outside(stage: Stage): string {
  return stage === 'behind' ? 'there is more behind the list' : 'the body must be a list, which begins with [';
}

function isBlank(item: JsonItem): boolean {
  return 'bytes' in item && item.bytes.every(isSpace);
}
