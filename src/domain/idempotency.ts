/** Idempotency-Key: what it is scoped to and how two bodies are compared. */
import { createHash } from 'node:crypto';

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

/** Characters from which a string stands in a body by its own hash. */
const longText = 4_096;

/**
 * The same for two bodies that mean the same: the order of members does not matter, nor does white space.
 * @param known hashes of long strings: a file that a thousand bodies of one batch have in common is hashed once
 */
export function bodyHash(body: unknown, known = new Map<string, string>()): string {
  const digest = (text: string): string => {
    const hash = known.get(text) ?? sha256(text);
    known.set(text, hash);
    return hash;
  };
  const json = JSON.stringify(body, (_, value: unknown) => {
    if (typeof value === 'string' && value.length >= longText) return { sha256: digest(value) };
    return isRecord(value) ? sorted(value) : value;
  });
  return sha256(json);
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
