/** Joins the lines that a server sends to whole replies (RFC 5321 section 4.2.1). */
import { withOneCode } from '../domain/classify.ts';

type ReplyReader = {
  /** Passes on each reply that is complete. */
  read(chunk: Buffer): void;
  /** Bytes that have come of a reply that is not whole. */
  readonly bytes: number;
  /** The incomplete last line, if it is a refusal; null otherwise. */
  lastWords(): string | null;
};

/** Characters of one reply that are kept. What goes on is read to its last line, which says what became of the message. */
const maxKept = 64 * 1_024;

/** @param take is given a reply, its lines joined by LF, all with the code that holds */
export function makeReplyReader(take: (reply: string) => void): ReplyReader {
  /** The lines of an incomplete reply, and the beginning of a line, with one character for each byte. */
  let lines = '';
  let unfinished = '';
  let bytes = 0;
  // A longer line says all in its beginning. What is kept of it is not searched again: it holds no LF.
  const begun = (piece: string) => unfinished + piece.slice(0, maxKept - unfinished.length);

  return {
    read(chunk) {
      bytes += chunk.length;
      const text = chunk.toString('latin1');
      let from = 0;
      for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', from)) {
        const line = withoutCr(begun(text.slice(from, at)));
        unfinished = '';
        from = at + 1;
        if (line.trim() === '' && lines === '') continue;
        const isLast = !goesOn.test(line);
        if (isLast || lines.length + line.length < maxKept) lines = lines === '' ? line : `${lines}\n${line}`;
        if (!isLast) continue;
        // What begins with a code and ends without one has none that holds.
        const whole = ends.test(line) ? withOneCode(lines) : line;
        lines = '';
        bytes = 0;
        take(decoded(whole));
      }
      unfinished = begun(text.slice(from));
    },
    get bytes() {
      return bytes;
    },
    lastWords: () => (refusal.test(unfinished) ? decoded(unfinished.trim()) : null),
  };
}

function withoutCr(line: string): string {
  return line.endsWith('\r') ? line.slice(0, -1) : line;
}

const goesOn = /^\d{3}-/;
const ends = /^\d{3}(?: |$)/;
const refusal = /^[45]\d{2}[ -]/;

/** Decodes UTF-8; text that is not UTF-8 gets one character for each byte. */
function decoded(bytes: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII
  if (/^[\x00-\x7f]*$/.test(bytes)) return bytes;
  const text = Buffer.from(bytes, 'latin1').toString('utf8');
  return text.includes('\ufffd') ? bytes : text;
}
