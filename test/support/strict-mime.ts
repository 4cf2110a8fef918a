/** Reads a message as the standards write it (RFC 5322, 2045, 2046, 2047), with no leniency: what they forbid is thrown. */

export type Header = { readonly name: string; readonly value: string };

export type Part = {
  readonly headers: readonly Header[];
  /** The decoded body of a leaf; empty where there are `parts`. */
  readonly body: Buffer;
  readonly parts: readonly Part[];
};

/** RFC 5322 section 2.1.1, without the CRLF. */
const maxLineOctets = 998;

/** Reads one message or one part of it; values are unfolded, and as they stand otherwise. */
export function readMessage(raw: Buffer): Part {
  for (const line of linesOf(raw))
    if (line.length > maxLineOctets) throw new Error(`A line of ${line.length} octets: ${line.slice(0, 80)}`);
  return readPart(raw.toString('latin1'));
}

function linesOf(raw: Buffer): string[] {
  const lines = raw.toString('latin1').split('\r\n');
  const broken = lines.find((line) => /[\r\n\0]/.test(line));
  if (broken !== undefined) throw new Error(`A lone CR or LF, or NUL: ${JSON.stringify(broken.slice(0, 200))}`);
  return lines;
}

function readPart(text: string): Part {
  const end = text.startsWith('\r\n') ? 0 : text.indexOf('\r\n\r\n');
  if (end < 0) throw new Error('A part without an empty line after its header');
  const headers = readHeaders(text.slice(0, end));
  const body = text.slice(end + (end === 0 ? 2 : 4));
  const type = headerOf(headers, 'content-type') ?? 'text/plain';
  const boundary = /^multipart\/[^;]+;.*\bboundary="([^"]+)"/i.exec(type)?.[1];
  if (boundary === undefined) return { headers, body: decodeBody(headers, body), parts: [] };
  return { headers, body: Buffer.alloc(0), parts: splitParts(body, boundary).map(readPart) };
}

function readHeaders(block: string): Header[] {
  const headers: Header[] = [];
  for (const line of block.split('\r\n')) {
    if (/^[ \t]/.test(line)) {
      const last = headers.pop();
      if (last === undefined || line.trim() === '')
        throw new Error(`A folded line of nothing: ${JSON.stringify(line)}`);
      headers.push({ name: last.name, value: last.value + line });
    } else {
      const match = /^([!-9;-~]+):(.*)$/s.exec(line);
      if (match === null) throw new Error(`Not a header: ${JSON.stringify(line)}`);
      headers.push({ name: (match[1] ?? '').toLowerCase(), value: match[2] ?? '' });
    }
  }
  return headers.map(({ name, value }) => ({ name, value: Buffer.from(value, 'latin1').toString().trim() }));
}

/** The one value of a header that may stand once. */
export function headerOf(headers: readonly Header[], name: string): string | undefined {
  const values = headers.filter((header) => header.name === name);
  if (values.length > 1) throw new Error(`${name} stands ${values.length} times`);
  return values[0]?.value;
}

function splitParts(body: string, boundary: string): string[] {
  const pieces = `\r\n${body}`.split(`\r\n--${boundary}`);
  const [before, ...rest] = pieces;
  const after = rest.pop();
  if (before?.trim() !== '' || after?.trim() !== '--') throw new Error('Text before the first or after the last part');
  return rest.map((piece) => {
    if (!piece.startsWith('\r\n')) throw new Error(`A boundary that goes on: ${JSON.stringify(piece.slice(0, 40))}`);
    return piece.slice(2);
  });
}

function decodeBody(headers: readonly Header[], body: string): Buffer {
  const encoding = headerOf(headers, 'content-transfer-encoding') ?? '7bit';
  if (encoding === 'base64') {
    if (!/^[A-Za-z0-9+/\r\n]*={0,2}[\r\n]*$/.test(body)) throw new Error('Not base64');
    return Buffer.from(body, 'base64');
  }
  if (/[\x80-\xff]/.test(body)) throw new Error(`Octets over 127 in ${encoding}`);
  if (encoding === '7bit') return Buffer.from(body, 'latin1');
  if (encoding !== 'quoted-printable') throw new Error(`Unknown encoding ${encoding}`);
  const octets = body
    .replace(/[ \t]+(?=\r\n|$)/g, '')
    .replace(/=\r\n/g, '')
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(octets, 'latin1');
}

/** RFC 2047: words in `=?utf-8?Q?…?=` or `…?B?…`, the space between two of them being no part of the text. */
export function decodeWords(value: string): string {
  const joined = value.replace(/(=\?[^\s?]+\?[QBqb]\?[^\s?]*\?=)\s+(?==\?[^\s?]+\?[QBqb]\?[^\s?]*\?=)/g, '$1');
  const runs = /(?:(?<=^|\s)|(?<=\?=))=\?utf-8\?([QB])\?([^\s?]*)\?=/gi;
  return joined.replace(runs, (_, kind: string, text: string) => decodeWord(kind, text).toString());
}

function decodeWord(kind: string, text: string): Buffer {
  if (kind.toUpperCase() === 'B') return Buffer.from(text, 'base64');
  const octets = text
    .replaceAll('_', ' ')
    .replace(/=([0-9A-F]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(octets, 'latin1');
}

/** The parts that hold content, in order. */
export function leavesOf(part: Part): Part[] {
  return part.parts.length === 0 ? [part] : part.parts.flatMap(leavesOf);
}
