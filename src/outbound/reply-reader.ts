/** Joins the lines that a server sends to whole replies (RFC 5321 section 4.2.1). */
import { withOneCode } from '../domain/classify.ts';

export type ReplyReader = {
  /** Passes on each reply that is complete. */
  read(chunk: Buffer): void;
  /** Bytes received of an incomplete reply. */
  readonly bytes: number;
  /** The incomplete last line, if it is a refusal; null otherwise. */
  lastWords(): string | null;
};

/** @param take called with each reply: its lines joined by LF, all with the code of the last line */
export function makeReplyReader(take: (reply: string) => void): ReplyReader {
  /** The lines of an incomplete reply, and the beginning of a line, with one character for each byte. */
  let lines = '';
  let unfinished = '';

  return {
    read(chunk) {
      const text = unfinished + chunk.toString('latin1');
      let from = 0;
      for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', from)) {
        const line = text.slice(from, text[at - 1] === '\r' ? at - 1 : at);
        from = at + 1;
        if (line.trim() === '' && lines === '') continue;
        lines = lines === '' ? line : `${lines}\n${line}`;
        if (goesOn.test(line)) continue;
        // A reply whose last line has no code has no valid code: only that line is passed on.
        const whole = ends.test(line) ? withOneCode(lines) : line;
        lines = '';
        take(decoded(whole));
      }
      unfinished = text.slice(from);
    },
    get bytes() {
      return lines.length + unfinished.length;
    },
    lastWords: () => (refusal.test(unfinished) ? decoded(unfinished.trim()) : null),
  };
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
