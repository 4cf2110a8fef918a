/**
 * Packs an email's content for Redis: a head in JSON, then html and text as they are (to escape a letter for JSON takes half as long as to
 * compress it), compressed when that pays; the first byte says which. Attached files are stored apart, and so is a letter (html and text) that
 * several emails of a batch have in common. A heavy one begins with its weight, so that room can be made before it is read.
 */
import { compress, compressSync, uncompress, uncompressSync } from 'snappy';
import { inTurns } from '../concurrency/in-turns.ts';
import { type Content, type Unreadable, unreadable, weightOf } from '../domain/email.ts';
import { fileHash } from '../domain/file.ts';

type Letter = Pick<Content, 'html' | 'text'>;

/** The head of a packed content. `letter` is the hash of a letter stored separately, or the lengths of html and text (null for none). */
type Head = Omit<Content, keyof Letter> & { readonly letter: string | Lengths };
type Lengths = readonly [html: number | null, text: number | null];

/** Below this, compression saves too little for its time. */
const compressFromBytes = 1_024;
/** Above this, the thread pool compresses, so that one large letter does not hold up other requests. */
const offloadFromBytes = 64 * 1_024;

/**
 * Smaller contents are laid out here, one after the other. A buffer for each would be memory outside the heap, and V8 collects the whole heap
 * for so much of it: 16 % of the CPU of accepting an email.
 */
const sheet = Buffer.allocUnsafeSlow(offloadFromBytes);

/** To hand memory of its own over to JavaScript takes snappy longer than to copy a letter. */
const copied = { copyOutputData: true };

const plain = Buffer.of(0);
const compressed = Buffer.of(1);
/** Bytes of the length of the head. */
const lengthBytes = 4;

/** Content up to this weight is loaded with its email and waits for no room in memory: all that two lanes have in hand is little (25 MB). */
const lightBytes = 128 * 1_024;
/** A heavy content begins with this byte and its weight. */
export const heavyMark = 2;
export const heavyHeadBytes = 5;
/** The largest weight that four bytes can hold. */
const heaviest = 2 ** 32 - 1;

/** @param letter the hash of its letter, when that is stored apart */
export async function packContent(content: Content, letter: string | null = null): Promise<Buffer> {
  const { html, text, ...head } = content;
  const packed = await (letter === null ? packWhole({ html, text }, head) : pack(layOut({ ...head, letter }, '', '')));
  const weight = weightOf(content);
  return weight <= lightBytes ? packed : Buffer.concat([heavyHeadOf(weight), packed]);
}

function heavyHeadOf(weight: number): Buffer {
  const head = Buffer.of(heavyMark, 0, 0, 0, 0);
  head.writeUInt32BE(Math.min(weight, heaviest), 1);
  return head;
}

/** The weight of a content of which only the head was read; null when it was read whole. */
export function weightAhead(read: Buffer): number | null {
  return read.length === heavyHeadBytes && read[0] === heavyMark ? read.readUInt32BE(1) : null;
}

function packLetter(letter: Letter): Promise<Buffer> {
  return packWhole(letter, { headers: {}, attachments: [] });
}

/** The hash of a letter that is stored separately; null when the letter is in the content. */
export async function letterOf(packed: Buffer): Promise<string | null> {
  const { letter } = readHead(await unpack(packed));
  return typeof letter === 'string' ? letter : null;
}

/**
 * @param readFile reads what is stored separately, by hash
 * @returns null when the letter is gone
 * @throws only what `readFile` throws: Redis away is no fault of the content
 */
export async function unpackContent(
  packed: Buffer,
  readFile: (hash: string) => Promise<Buffer | null>,
): Promise<Content | Unreadable | null> {
  const read = await readContent(packed).catch((): Unreadable => unreadable);
  if (read === unreadable) return unreadable;
  const { letter, head } = read;
  if (typeof letter !== 'string') return { ...letter, ...head };
  const apart = await readFile(letter);
  const shared = apart === null ? null : await unpackContent(apart, readFile);
  return shared === null || shared === unreadable ? shared : { ...shared, ...head };
}

/** @throws when these bytes are no content */
async function readContent(packed: Buffer): Promise<{ letter: string | Letter; head: Omit<Head, 'letter'> }> {
  const bytes = await unpack(packed);
  const { letter, ...head } = readHead(bytes);
  return { letter: typeof letter === 'string' ? letter : readLetter(bytes, letter), head };
}

function packWhole({ html, text }: Letter, head: Omit<Head, 'letter'>): Promise<Buffer> {
  const letter: Lengths = [lengthOf(html), lengthOf(text)];
  return pack(layOut({ ...head, letter }, html ?? '', text ?? ''));
}

function lengthOf(part: string | null): number | null {
  return part === null ? null : Buffer.byteLength(part);
}

/** The bytes may lie on the sheet: they hold until the next content is laid out. */
function layOut(head: Head, html: string, text: string): Buffer {
  const json = JSON.stringify(head);
  const headBytes = Buffer.byteLength(json);
  const [htmlBytes, textBytes] = typeof head.letter === 'string' ? [0, 0] : head.letter;
  const length = lengthBytes + headBytes + (htmlBytes ?? 0) + (textBytes ?? 0);
  const bytes = length < offloadFromBytes ? sheet.subarray(0, length) : Buffer.allocUnsafe(length);
  let at = bytes.writeUInt32BE(headBytes);
  for (const part of [json, html, text]) at += bytes.write(part, at);
  return bytes;
}

function readHead(bytes: Buffer): Head {
  return JSON.parse(bytes.toString('utf8', lengthBytes, lengthBytes + bytes.readUInt32BE()));
}

function readLetter(bytes: Buffer, [htmlBytes, textBytes]: Lengths): Letter {
  const htmlAt = lengthBytes + bytes.readUInt32BE();
  const textAt = htmlAt + (htmlBytes ?? 0);
  return {
    html: htmlBytes === null ? null : bytes.toString('utf8', htmlAt, textAt),
    text: textBytes === null ? null : bytes.toString('utf8', textAt, textAt + textBytes),
  };
}

/**
 * Compresses when that pays. Snappy reduces a letter of 5 KB to a third. The fastest deflate reduces it to a quarter but takes three times as
 * long, which was a fifth of the whole cost of accepting an email. Bytes that the sheet could hold are read before it returns.
 */
export async function pack(bytes: Buffer): Promise<Buffer> {
  if (bytes.length < compressFromBytes) return Buffer.concat([plain, bytes]);
  return Buffer.concat([
    compressed,
    bytes.length < offloadFromBytes ? compressSync(bytes, copied) : await compress(bytes),
  ]);
}

/** @throws when the bytes are damaged or of an unknown form */
export async function unpack(given: Buffer): Promise<Buffer> {
  const packed = given[0] === heavyMark ? given.subarray(heavyHeadBytes) : given;
  const body = packed.subarray(1);
  if (packed[0] === plain[0]) return body;
  if (packed[0] !== compressed[0]) throw new Error(`bytes of an unknown form: ${packed[0]}`);
  // Asked for bytes, it gives bytes: its type leaves that open.
  return (body.length < offloadFromBytes ? uncompressSync(body, copied) : await uncompress(body)) as Buffer;
}

/** Emails of a batch packed before other work gets a turn. A thousand of 40 KB, or with 50 recipients each, take 0.2 s. */
export const packedInTurn = 25;

/** A letter at least this long, html and text together, is stored separately when several emails have it. */
const shareFromLength = 512;

type SharedLetter = { readonly hash: string; readonly bytes: Buffer };

/** The letters that several of these contents share: each is packed, and stored, once. */
export async function packShared(contents: readonly Content[]): Promise<ReadonlyMap<Content, SharedLetter>> {
  const shared = new Map<Content, SharedLetter>();
  for await (const same of inTurns(sharedLetters(contents), packedInTurn)) {
    const bytes = await packLetter(same[0] as Content);
    const letter = { hash: fileHash(bytes), bytes };
    for (const content of same) shared.set(content, letter);
  }
  return shared;
}

/** Each with the contents that have it. */
function sharedLetters(contents: readonly Content[]): Content[][] {
  const byHtml = new Map<string | null, Map<string | null, Content[]>>();
  for (const content of contents) {
    const { html, text } = content;
    if ((html?.length ?? 0) + (text?.length ?? 0) < shareFromLength) continue;
    const byText = byHtml.get(html) ?? new Map<string | null, Content[]>();
    byHtml.set(html, byText);
    const same = byText.get(text);
    if (same === undefined) byText.set(text, [content]);
    else same.push(content);
  }
  return [...byHtml.values()].flatMap((byText) => [...byText.values()]).filter((same) => same.length > 1);
}
