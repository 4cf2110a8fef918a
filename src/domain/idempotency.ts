/** Idempotency-Key: what it is scoped to and how two bodies are compared. */
import { createHash } from 'node:crypto';
import { bytesIn } from './bytes.ts';

/** For so long a key is remembered. */
export const idempotencyMs = 24 * 3_600_000;

/** Characters of a key, quotes not counted. */
const maxKeyLength = 256;

/** Reads the header, bare or quoted (a structured field string); null when it is not a key. */
export function readIdempotencyKey(header: string): string | null {
  const key = /^"(.*)"$/.exec(header)?.[1]?.replace(/\\(["\\])/g, '$1') ?? header;
  return key.length <= maxKeyLength && /^[\x20-\x7e]+$/.test(key) ? key : null;
}

/** One name for a key of one caller on one route; hashed, since it becomes part of a Redis key. */
export function idempotencyScope(apiKeyId: string, route: string, key: string): string {
  return sha256(JSON.stringify([apiKeyId, route, key]));
}

/** Characters from which a text, such as a file, stands in a body by its own hash. */
const longText = 4_096;

/** What was made of files and long texts: a file that a thousand bodies of one batch have in common is looked at once. */
export type KnownFiles = Map<unknown, string>;

/**
 * The same for two bodies that mean the same: the order of members does not matter, nor does white space, nor in which form the bytes of a
 * file were given. Base64 counts as the text it is: without its padding, or in lines, it is another.
 */
export function bodyHash(body: unknown, known: KnownFiles = new Map()): string {
  const json = JSON.stringify(withFilesAsText(body, known), (_, value: unknown) => {
    if (typeof value === 'string' && value.length >= longText)
      return { sha256: once(known, value, () => sha256(value)) };
    return isRecord(value) ? sorted(value) : value;
  });
  return sha256(json);
}

/** @param body of an email, or of a batch: a list of them, or `messages` and their `base` */
function withFilesAsText(body: unknown, known: KnownFiles): unknown {
  if (Array.isArray(body)) return body.map((email) => withFilesAsText(email, known));
  if (!isRecord(body)) return body;
  const { attachments, base, messages } = body;
  return {
    ...body,
    ...(Array.isArray(attachments) && { attachments: attachments.map((file) => withText(file, known)) }),
    ...(isRecord(base) && { base: withFilesAsText(base, known) }),
    ...(Array.isArray(messages) && { messages: withFilesAsText(messages, known) }),
  };
}

/** A long list of bytes comes as base64 from the reader of the body already. */
function withText(file: unknown, known: KnownFiles): unknown {
  if (!isRecord(file) || typeof file.content === 'string') return file;
  const { content } = file;
  const bytes = known.has(content) ? null : bytesIn(content);
  if (bytes !== null) known.set(content, bytes.toString('base64'));
  return { ...file, content: known.get(content) ?? content };
}

function once(known: KnownFiles, text: string, hash: () => string): string {
  const found = known.get(text) ?? hash();
  known.set(text, found);
  return found;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function sorted(record: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
