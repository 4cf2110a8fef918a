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

/** Characters, or bytes in a list, from which a file stands in a body by its own hash. */
const longFile = 4_096;

/**
 * The same for two bodies that mean the same: the order of members does not matter, nor does white space.
 * @param known hashes of long strings and lists of bytes: a file that a thousand bodies of one batch have in common is hashed once
 */
export function bodyHash(body: unknown, known = new Map<unknown, string>()): string {
  const digest = (file: string | readonly unknown[]): string | null => {
    const hash = known.get(file) ?? hashOf(file);
    if (hash !== null) known.set(file, hash);
    return hash;
  };
  const json = JSON.stringify(body, (_, value: unknown) => {
    if ((typeof value === 'string' || Array.isArray(value)) && value.length >= longFile) {
      const hash = digest(value);
      return hash === null ? value : { sha256: hash };
    }
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

/** Null for a list of anything but bytes. */
function hashOf(file: string | readonly unknown[]): string | null {
  if (typeof file === 'string') return sha256(file);
  const bytes = bytesIn(file);
  return bytes && sha256(bytes);
}

function sha256(text: string | Buffer): string {
  return createHash('sha256').update(text).digest('base64url');
}
