/** Writes a message (RFC 5322) of one part or a tree of parts (RFC 2046) into one Buffer. */
import type { Body } from './mime-body.ts';
import { headerLine } from './mime-headers.ts';

/** One part with a body. */
export type Leaf = {
  /** The header lines of the part, each with its CRLF, except Content-Transfer-Encoding. */
  readonly header: string;
  readonly body: Body;
};

type Multipart = {
  /** The media type with its parameters, except the boundary. */
  readonly type: string;
  readonly parts: readonly Part[];
};

export type Part = Leaf | Multipart;

/** The message is written as a row of pieces. */
type Piece = string | Body;

/**
 * @param header the header lines of the message, with their CRLF
 * @param boundary the beginning of every boundary: up to 60 of `A-Z a-z 0-9 _ .`; must not occur in a text
 */
export function writeMessage(header: string, content: Part, boundary: string): Buffer {
  const pieces: Piece[] = [`${header}MIME-Version: 1.0\r\n`];
  let multiparts = 0;

  function add(part: Part): void {
    if (!('parts' in part)) {
      pieces.push(`${part.header}Content-Transfer-Encoding: ${part.body.encoding}\r\n\r\n`, part.body);
      return;
    }
    multiparts += 1;
    // RFC 2045 section 6.7: no quoted-printable and no base64 has `=_` in it.
    const delimiter = `=_${boundary}_${multiparts}`;
    pieces.push(headerLine('Content-Type', `${part.type}; boundary="${delimiter}"`));
    for (const child of part.parts) {
      pieces.push(`\r\n--${delimiter}\r\n`);
      add(child);
    }
    pieces.push(`\r\n--${delimiter}--\r\n`);
  }

  add(content);
  return joined(pieces);
}

/** Writes all pieces, and a CRLF after the last line if it has none. */
function joined(pieces: readonly Piece[]): Buffer {
  const out = Buffer.allocUnsafe(pieces.reduce((sum, piece) => sum + maxOctets(piece), 2));
  let at = 0;
  let room = 0;
  for (const piece of pieces) {
    room += maxOctets(piece);
    at = typeof piece === 'string' ? at + out.write(piece, at) : piece.write(out, at);
    // A write beyond the end of a Buffer is dropped without an error: the message would end early.
    if (at > room) throw new Error('a part is longer than it said');
  }
  if (out[at - 1] !== lf) at += out.write('\r\n', at);
  return out.subarray(0, at);
}

const lf = 0x0a;

function maxOctets(piece: Piece): number {
  return typeof piece === 'string' ? Buffer.byteLength(piece) : piece.maxOctets;
}
