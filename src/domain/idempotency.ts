/** Idempotency-Key: its scope, and how two bodies are compared. */
import { createHash } from 'node:crypto';
import { bytesIn } from './bytes.ts';
import { isObject } from './json-object.ts';
import { withoutAnyNull } from './null-leaves-out.ts';

/** A key in its scope, with the hash of its request body. */
export type IdempotencyClaim = { readonly scope: string; readonly bodyHash: string };

/** How long a key is remembered. */
export const idempotencyMs = 24 * 3_600_000;

/** Replaces the id of an email of a batch whose own key belonged to another body. Never stored where an id may be. */
export const clashMark = 'key_reused';

/** Characters of a key, quotes not counted. */
const maxKeyLength = 256;

/** Reads the header, or its field in a batch, bare or quoted (a structured field string); null when it is not a key. */
export function readIdempotencyKey(given: string): string | null {
  const key = /^"(.*)"$/.exec(given)?.[1]?.replace(/\\(["\\])/g, '$1') ?? given;
  return key.length <= maxKeyLength && /^[\x20-\x7e]+$/.test(key) ? key : null;
}

/** The name of a key for one caller and one route. Hashed, since it becomes part of a Redis key. */
export function idempotencyScope(apiKeyId: string, route: string, key: string): string {
  return sha256(JSON.stringify([apiKeyId, route, key]));
}

/** Characters from which a text, such as a file, is replaced in the body by its own hash. */
const longText = 4_096;

/** What is known of one request, so that what a thousand emails of a batch share is hashed once. */
export type Known = {
  /** The base64 or the hash of files and long texts. */
  readonly files: Files;
  /** The fields that the base gives its emails. The JSON of each is null until it was needed. */
  readonly base: ReadonlyMap<string, { readonly value: unknown; json: string | null }>;
};
type Files = Map<unknown, string>;

/** @param body of the request: an email, or a batch */
export function knownOf(body: unknown): Known {
  const base = isObject(body) && isObject(body.base) ? Object.entries(body.base) : [];
  return { files: new Map(), base: new Map(base.map(([name, value]) => [name, { value, json: null }])) };
}

/**
 * Equal for two bodies with the same meaning: the order of members, white space, null for a field that may be left out, and the form in which
 * a file's bytes were given do not matter. Base64 is compared as text: without padding, or broken into lines, it counts as another body.
 * The hash of a body never changes with a release: claims that an earlier one stored stand for a day.
 */
export function bodyHash(body: unknown, known: Known = knownOf(body)): string {
  if (!isObject(body)) return sha256(toJson(inOneForm(body, known.files), known.files));
  const members = Object.entries(sorted(withoutAnyNull(body)));
  return sha256(
    `{${members.map(([name, value]) => `${JSON.stringify(name)}:${jsonOf(name, value, known)}`).join(',')}}`,
  );
}

/** The base of a batch may have 20,000 members, which take 30 ms for each email that they are written out for. */
function jsonOf(name: string, value: unknown, { files, base }: Known): string {
  const shared = base.get(name);
  if (shared === undefined || shared.value !== value) return toJson(fieldInOneForm(name, value, files), files);
  shared.json ??= toJson(fieldInOneForm(name, value, files), files);
  return shared.json;
}

function toJson(form: unknown, files: Files): string {
  return JSON.stringify(form, (_, value: unknown) => {
    if (typeof value === 'string' && value.length >= longText)
      return { sha256: once(files, value, () => sha256(value)) };
    return isObject(value) ? sorted(value) : value;
  });
}

/** Fields whose own members may be left out. In what is named by the caller, such as `metadata`, null is a value. */
const holders = ['from', 'to', 'cc', 'bcc', 'reply_to', 'dsn', 'template'];

/** @param body of an email or of a batch: a list of emails, or `messages` with their `base` */
function inOneForm(body: unknown, files: Files): unknown {
  if (Array.isArray(body)) return body.map((email) => inOneForm(email, files));
  if (!isObject(body)) return body;
  const fields = Object.entries(withoutAnyNull(body));
  return Object.fromEntries(fields.map(([name, value]) => [name, fieldInOneForm(name, value, files)]));
}

function fieldInOneForm(name: string, value: unknown, files: Files): unknown {
  if (name === 'base' || name === 'messages') return inOneForm(value, files);
  if (name === 'attachments' && Array.isArray(value)) return value.map((file) => withText(file, files));
  return holders.includes(name) ? withoutNulls(value) : value;
}

/** @param value an object or a list of them; anything else stays as it is */
function withoutNulls(value: unknown): unknown {
  const alone = (one: unknown) => (isObject(one) ? withoutAnyNull(one) : one);
  return Array.isArray(value) ? value.map(alone) : alone(value);
}

/** The reader of the body turns a long list of bytes into base64 before. */
function withText(file: unknown, files: Files): unknown {
  if (!isObject(file)) return file;
  const given = withoutAnyNull(file);
  const { content } = given;
  if (typeof content === 'string') return given;
  const bytes = files.has(content) ? null : bytesIn(content);
  if (bytes !== null) files.set(content, bytes.toString('base64'));
  return { ...given, content: files.get(content) ?? content };
}

function once(files: Files, text: string, hash: () => string): string {
  const found = files.get(text) ?? hash();
  files.set(text, found);
  return found;
}

function sorted(record: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
