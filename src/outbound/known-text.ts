/** Keeps the encoded lines of earlier letters: most letters are made of few templates and have most of their lines in common. */
import { type Encoded, encodeLines } from './mime-body.ts';

/** The encoded lines of one text part of many letters. */
export type KnownText = {
  /** Encodes each line of a text that has no CR. */
  lines(text: string): readonly Encoded[];
  /** Encodes a piece of a text that has line breaks but no CR. */
  piece(text: string): Stretch;
};

/** A piece with a line break in it: it ends one line, and begins another. */
type Stretch = {
  readonly head: string;
  /** The whole lines between head and tail; null when there are none. */
  readonly between: Encoded | null;
  readonly tail: string;
};

/** Entries of one generation, and their characters. */
const maxKnown = 4_000;
const maxKnownLength = 512 * 1024;

export function makeKnownText(): KnownText {
  const line = makeMemory(encodeLines);
  let last: { readonly text: string; readonly lines: readonly Encoded[] } = { text: '', lines: [encodeLines('')] };

  return {
    lines(text) {
      if (text === last.text) return last.lines;
      const before = last.lines;
      // Most lines are the same as in the last letter, and comparing two lines is cheaper than a lookup.
      const lines = text.split('\n').map((text, n) => (before[n]?.text === text ? before[n] : line(text)));
      last = { text, lines };
      return lines;
    },
    piece: makeMemory(stretchOf),
  };
}

function stretchOf(piece: string): Stretch {
  const [first, end] = [piece.indexOf('\n'), piece.lastIndexOf('\n')];
  const between = first === end ? null : encodeLines(piece.slice(first + 1, end));
  return { head: piece.slice(0, first), between, tail: piece.slice(end + 1) };
}

/** Forgets an entry that was not used during a whole generation: lines with a name in them go, lines of the template stay. */
function makeMemory<T>(make: (text: string) => T): (text: string) => T {
  let young = new Map<string, T>();
  let old = new Map<string, T>();
  let length = 0;
  return (text) => {
    const found = young.get(text);
    if (found !== undefined) return found;
    const made = old.get(text) ?? make(text);
    if (text.length > maxKnownLength) return made;
    if (young.size === maxKnown || length + text.length > maxKnownLength) {
      old = young;
      young = new Map();
      length = 0;
    }
    young.set(text, made);
    length += text.length;
    return made;
  };
}
