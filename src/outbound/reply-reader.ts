/** Reads what a server sends: its lines are joined to whole replies (RFC 5321 section 4.2.1). */
import { withOneCode } from '../domain/classify.ts';

export type ReplyReader = {
  /** Hands on each reply that is whole by now. */
  read(chunk: Buffer): void;
  /** How much has come of a reply that is not whole. */
  readonly bytes: number;
  /** The refusal in the middle of whose line the server ended; null where there is none. */
  lastWords(): string | null;
};

/** @param take is given a reply, its lines joined by LF, all with the code that holds */
export function makeReplyReader(take: (reply: string) => void): ReplyReader {
  /** Lines of a reply that goes on, and the beginning of a line; as the bytes came, one to a character. */
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
        // What begins with a code and ends without one has none that holds.
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

/** UTF-8 where it is UTF-8, else one character for each byte. */
function decoded(bytes: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII
  if (/^[\x00-\x7f]*$/.test(bytes)) return bytes;
  const text = Buffer.from(bytes, 'latin1').toString('utf8');
  return text.includes('\ufffd') ? bytes : text;
}
