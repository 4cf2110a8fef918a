/** Writes text as quoted-printable (RFC 2045 section 6.7): lines of at most 76 octets, CRLF line breaks, nothing that a relay might change. */

/** What `surveyText` counts, over octets of UTF-8. */
export type Survey = {
  /** Octets that can only be written as `=XX`. */
  readonly escapes: number;
  /** CRLF, or CR or LF alone. */
  readonly breaks: number;
  /** In octets, without its break. */
  readonly longestLine: number;
};

/** RFC 2045 section 6.7 (5) allows 76; one octet is for the `=` of a soft break. */
const maxLine = 75;
/** A character of four octets is written as twelve, and moves to the next line as a whole. */
const fullLine = maxLine - 11;

const cr = 0x0d;
const lf = 0x0a;
const tab = 0x09;
const space = 0x20;
const dot = 0x2e;
const equals = 0x3d;

/** Octets that must fit on the line from an octet on: 0 for a break, 1 for a literal, 3 or more for the escapes of one character. */
const widths = Uint8Array.from({ length: 256 }, (_, octet) => widthOf(octet));
const hexDigits = Buffer.from('0123456789ABCDEF');
const from = Buffer.from('From ');

function widthOf(octet: number): number {
  if (octet === cr || octet === lf) return 0;
  if (octet === tab || (octet >= space && octet < 0x7f && octet !== equals)) return 1;
  if (octet < 0xc0) return 3;
  return octet < 0xe0 ? 6 : octet < 0xf0 ? 9 : 12;
}

export function surveyText(text: Uint8Array): Survey {
  let escapes = 0;
  let breaks = 0;
  let longestLine = 0;
  let lineStart = 0;
  for (let i = 0; i < text.length; i++) {
    const width = widths[text[i] as number] as number;
    if (width === 1) continue;
    if (width > 0) {
      escapes += 1;
      continue;
    }
    breaks += 1;
    longestLine = Math.max(longestLine, i - lineStart);
    i += breakAt(text, i) - 1;
    lineStart = i + 1;
  }
  return { escapes, breaks, longestLine: Math.max(longestLine, text.length - lineStart) };
}

/** Length of the line break at `i`; 0 when there is none. */
function breakAt(text: Uint8Array, i: number): number {
  if (text[i] === cr) return text[i + 1] === lf ? 2 : 1;
  return text[i] === lf ? 1 : 0;
}

/** Octets that `writeQuotedPrintable` needs at most. */
export function quotedPrintableLimit(text: Uint8Array, { escapes, breaks }: Survey): number {
  // A line may need one more octet for its break, and two more each for its first and last octet, which may need an escape there.
  const unwrapped = text.length + 2 * escapes + 5 * (breaks + 1);
  return unwrapped + 5 * Math.ceil(unwrapped / fullLine);
}

/**
 * Writes UTF-8 into `out` from `start` on. All octets of a character stay on one line.
 * @returns where it ended; no line break is added after the last line
 */
export function writeQuotedPrintable(text: Uint8Array, out: Uint8Array, start: number): number {
  let at = start;
  let lineStart = at;
  let i = 0;
  for (;;) {
    if (at === lineStart && isChangedFirst(text, i)) at = writeEscape(text[i++] as number, out, at);
    const stop = Math.min(text.length, i + lineStart + maxLine - at);
    while (i < stop && widths[text[i] as number] === 1) out[at++] = text[i++] as number;
    const width = i < text.length ? (widths[text[i] as number] as number) : 0;
    if (width === 0) {
      at = keepLastSpace(out, lineStart, at);
      if (i === text.length) return at;
      i += breakAt(text, i);
      lineStart = at = writeBreak(out, at);
    } else if (at + width > lineStart + maxLine) {
      lineStart = at = writeSoftBreak(out, at);
    } else {
      at = writeEscape(text[i++] as number, out, at);
    }
  }
}

/** Section 6.7 (3): relays may remove white space at the end of a line, so its last octet is escaped. */
function keepLastSpace(out: Uint8Array, lineStart: number, end: number): number {
  const last = out[end - 1];
  if (end === lineStart || (last !== space && last !== tab)) return end;
  const at = end - 1;
  return writeEscape(last, out, at + 3 > lineStart + maxLine ? writeSoftBreak(out, at) : at);
}

/** RFC 2049 section 3: at the start of a line, mailboxes change `From ` into `>From `, and careless relays lose or double a dot. */
function isChangedFirst(text: Uint8Array, i: number): boolean {
  return text[i] === dot || (text[i] === from[0] && from.every((octet, ahead) => text[i + ahead] === octet));
}

function writeEscape(octet: number, out: Uint8Array, at: number): number {
  out[at] = equals;
  out[at + 1] = hexDigits[octet >> 4] as number;
  out[at + 2] = hexDigits[octet & 15] as number;
  return at + 3;
}

function writeSoftBreak(out: Uint8Array, at: number): number {
  out[at] = equals;
  return writeBreak(out, at + 1);
}

export function writeBreak(out: Uint8Array, at: number): number {
  out[at] = cr;
  out[at + 1] = lf;
  return at + 2;
}
