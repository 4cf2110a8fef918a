/**
 * Packs an email's content for Redis: JSON, compressed when that pays; the first byte says which. Attached files stand apart, as they are,
 * and so does a letter (html and text) that several emails of a batch have in common.
 */
import { promisify } from 'node:util';
import { deflateRaw, deflateRawSync, inflateRaw, inflateRawSync } from 'node:zlib';
import type { Content } from '../domain/email.ts';

export type Letter = Pick<Content, 'html' | 'text'>;
/** What stands in Redis for one email; `letter` is the hash of one that stands apart. */
type Packed = Omit<Content, 'html' | 'text'> & (Letter | { readonly letter: string });

/** Below this a compressed body saves nothing worth the time. */
const compressFromBytes = 1_024;
/** Above this the work is left to the thread pool, so that one large letter does not hold up other requests. */
const offloadFromBytes = 64 * 1_024;

/**
 * A letter of 5 KB takes 21 µs with these settings, 27 µs with the usual `memLevel`, whose memory is new each time, and more with zstd.
 * Chunks below 4 KB are cut from Node's pool.
 */
const quick = { level: 1, windowBits: 13, memLevel: 6, chunkSize: 4_095 };

const compress = promisify<Buffer, typeof quick, Buffer>(deflateRaw);
const decompress = promisify<Buffer, Buffer>(inflateRaw);

const plain = Buffer.of(0);
const compressed = Buffer.of(1);

/** @param letter the hash of its letter, when that stands apart */
export function packContent({ html, text, ...head }: Content, letter: string | null = null): Promise<Buffer> {
  const packed: Packed = letter === null ? { html, text, ...head } : { letter, ...head };
  return pack(packed);
}

export function packLetter({ html, text }: Letter): Promise<Buffer> {
  return pack({ html, text });
}

/** The hash of the letter that stands apart; null when it stands in the content. */
export async function letterOf(packed: Buffer): Promise<string | null> {
  const stored = await unpack<Packed>(packed);
  return 'letter' in stored ? stored.letter : null;
}

/**
 * @param readFile the bytes of what stands apart, by hash
 * @returns null when its letter is gone
 */
export async function unpackContent(
  packed: Buffer,
  readFile: (hash: string) => Promise<Buffer | null>,
): Promise<Content | null> {
  const stored = await unpack<Packed>(packed);
  if (!('letter' in stored)) return stored;
  const { letter: hash, ...head } = stored;
  const letter = await readFile(hash);
  return letter === null ? null : { ...head, ...(await unpack<Letter>(letter)) };
}

async function pack(value: object): Promise<Buffer> {
  const json = Buffer.from(JSON.stringify(value));
  if (json.length < compressFromBytes) return Buffer.concat([plain, json]);
  const packed = json.length < offloadFromBytes ? deflateRawSync(json, quick) : await compress(json, quick);
  return Buffer.concat([compressed, packed]);
}

async function unpack<T>(packed: Buffer): Promise<T> {
  const body = packed.subarray(1);
  const json = packed[0] === 0 ? body : body.length < offloadFromBytes ? inflateRawSync(body) : await decompress(body);
  return JSON.parse(json.toString('utf8'));
}

/** A letter as long as this, html and text together, is worth a place of its own when several emails have it. */
const shareFromLength = 512;

/** The letters that more than one of these contents have, each with its contents. */
export function sharedLetters(contents: readonly Content[]): Content[][] {
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
