/** The body of one part: which transfer encoding suits it (RFC 2045 section 6), and its octets, written where they belong. */
import { quotedPrintableLimit, type Survey, surveyText, writeBreak, writeQuotedPrintable } from './quoted-printable.ts';

export type Body = {
  readonly encoding: '7bit' | 'quoted-printable' | 'base64';
  /** Room that `write` needs at most. */
  readonly maxOctets: number;
  /** Writes into `out` from `at` on; returns where it ended. Every line break is CRLF and no line is over 76 octets. */
  write(out: Buffer, at: number): number;
};

const maxLine = 76;
/** Octets that make one line of base64. */
const octetsPerLine = (maxLine / 4) * 3;

/** Text in UTF-8; a lone CR or LF is a line break as well. Short lines of ASCII stay as they are, anything else takes what is shorter. */
export function textBody(text: string): Body {
  const octets = Buffer.from(text);
  const survey = surveyText(octets);
  if (survey.escapes === 0 && survey.longestLine <= maxLine && !/^From /m.test(text)) return sevenBit(text);
  if (isMostlyEscapes(octets, survey)) return base64(Buffer.from(withCrlf(text)));
  return {
    encoding: 'quoted-printable',
    maxOctets: quotedPrintableLimit(octets, survey),
    write: (out, at) => writeQuotedPrintable(octets, out, at),
  };
}

/** Octets as they are (RFC 2045 section 6.8). */
export function base64(octets: Buffer): Body {
  return {
    encoding: 'base64',
    maxOctets: base64Size(octets.length),
    write: (out, at) => writeBase64(octets, out, at),
  };
}

/** That base64 takes less than quoted-printable; line breaks of either are left out of account. */
function isMostlyEscapes({ length }: Buffer, { escapes }: Survey): boolean {
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
