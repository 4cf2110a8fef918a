/** The body of one part: its transfer encoding (RFC 2045 section 6), and a function that writes its octets. */
import type { Woven } from '../domain/woven.ts';
import type { KnownText } from './known-text.ts';
import { quotedPrintableLimit, type Survey, surveyText, writeBreak, writeQuotedPrintable } from './quoted-printable.ts';

export type Body = {
  readonly encoding: '7bit' | 'quoted-printable' | 'base64';
  /** Octets that `write` needs at most. */
  readonly maxOctets: number;
  /** Writes into `out` from `at` on; returns where it ended. Every line break is CRLF and no line is over 76 octets. */
  write(out: Buffer, at: number): number;
};

const maxLine = 76;
/** Octets that make one line of base64. */
const octetsPerLine = (maxLine / 4) * 3;

/** Text in UTF-8; a lone CR or LF is a line break as well. Short ASCII lines are sent as 7bit, other text in the shorter encoding. */
export function textBody(text: string): Body {
  const octets = Buffer.from(text);
  const survey = surveyText(octets);
  if (isSevenBit(text, survey)) return sevenBit(text);
  if (isMostlyEscapes(octets, survey)) return base64(Buffer.from(withCrlf(text)));
  return {
    encoding: 'quoted-printable',
    maxOctets: quotedPrintableLimit(octets, survey),
    write: (out, at) => writeQuotedPrintable(octets, out, at),
  };
}

/** The same for one of many letters with most lines in common: a known line is not encoded again. */
export function textBodyOf(text: string, known: KnownText): Body {
  // Nearly all letters have LF only; other line breaks are left to `textBody`, which handles all of them.
  return text.includes('\r') ? textBody(text) : bodyOf(known.lines(text), () => text);
}

/**
 * The same for a text in pieces, from a template. The whole lines within a common piece are encoded once; a line in which one piece ends and
 * another begins is encoded for each letter.
 */
export function wovenBody(woven: Woven, known: KnownText): Body {
  const [only = ''] = woven;
  const text = () => woven.join('');
  if (woven.length < 2) return textBodyOf(only, known);
  if (woven.some((piece) => piece.includes('\r'))) return textBody(text());
  const lines: Encoded[] = [];
  let line = '';
  for (const piece of woven) {
    if (!piece.includes('\n')) {
      line += piece;
      continue;
    }
    const { head, between, tail } = known.piece(piece);
    lines.push(encodeLines(line + head));
    if (between !== null) lines.push(between);
    line = tail;
  }
  lines.push(encodeLines(line));
  return bodyOf(lines, text);
}

/** @param lines each but the last is followed by a line break */
function bodyOf(lines: readonly Encoded[], text: () => string): Body {
  let [octets, escapes, quoted, areSevenBit] = [lines.length - 1, 0, '', true];
  for (const [n, line] of lines.entries()) {
    octets += line.octets;
    escapes += line.escapes;
    areSevenBit &&= line.isSevenBit;
    quoted += n === 0 ? line.quoted : `\r\n${line.quoted}`;
  }
  if (areSevenBit) return sevenBit(text());
  if (isMostlyEscapes({ length: octets }, { escapes })) return textBody(text());
  return {
    encoding: 'quoted-printable',
    maxOctets: quoted.length,
    write: (out, at) => at + out.write(quoted, at, 'latin1'),
  };
}

/** A line, or several lines with LF between them, and its encoded form. */
export type Encoded = {
  readonly text: string;
  readonly octets: number;
  readonly escapes: number;
  readonly isSevenBit: boolean;
  /** As quoted-printable. */
  readonly quoted: string;
};

export function encodeLines(text: string): Encoded {
  const octets = Buffer.from(text);
  const survey = surveyText(octets);
  const out = Buffer.allocUnsafe(quotedPrintableLimit(octets, survey));
  return {
    text,
    octets: octets.length,
    escapes: survey.escapes,
    isSevenBit: isSevenBit(text, survey),
    quoted: out.toString('latin1', 0, writeQuotedPrintable(octets, out, 0)),
  };
}

function isSevenBit(text: string, { escapes, longestLine }: Survey): boolean {
  return escapes === 0 && longestLine <= maxLine && !/^From /m.test(text);
}

/** Octets as they are (RFC 2045 section 6.8). */
export function base64(octets: Buffer): Body {
  return {
    encoding: 'base64',
    maxOctets: base64Size(octets.length),
    write: (out, at) => writeBase64(octets, out, at),
  };
}

/** Whether base64 is shorter than quoted-printable; line breaks of both are not counted. */
function isMostlyEscapes({ length }: { length: number }, { escapes }: Pick<Survey, 'escapes'>): boolean {
  return length + 2 * escapes > Math.ceil(length / 3) * 4;
}

function sevenBit(text: string): Body {
  const lines = withCrlf(text);
  return { encoding: '7bit', maxOctets: lines.length, write: (out, at) => at + out.write(lines, at, 'latin1') };
}

function withCrlf(text: string): string {
  return text.replace(/\r\n?|\n/g, '\r\n');
}

function base64Size(octets: number): number {
  const breaks = octets === 0 ? 0 : Math.ceil(octets / octetsPerLine) - 1;
  return Math.ceil(octets / 3) * 4 + breaks * 2;
}

/** Line by line: encoded as a whole and cut up, 25 MB would need twice the memory and no less time. */
function writeBase64(octets: Buffer, out: Buffer, start: number): number {
  let at = start;
  for (let i = 0; i < octets.length; i += octetsPerLine) {
    at += out.write(octets.toString('base64', i, i + octetsPerLine), at, 'latin1');
    if (i + octetsPerLine < octets.length) at = writeBreak(out, at);
  }
  return at;
}
