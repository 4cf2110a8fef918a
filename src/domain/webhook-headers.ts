/** Which headers of their own callers may add to every POST to an endpoint (RFC 9110 section 5). */
import { z } from 'zod';
import { emptyListAsObject } from './json-object.ts';

const maxHeaders = 20;
const maxValueLength = 1_024;

const token = /^[!#$%&'*+.^_`|~0-9a-z-]{1,64}$/i;
/** Printable ASCII only: with CR, LF or NUL a value could add a header, or end the request. */
const printable = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;

/** Headers that only we write, or that concern one connection (RFC 9110 section 7.6.1), or that would describe another body than ours. */
const reserved = new Set([
  'host', 'user-agent', 'connection', 'keep-alive', 'proxy-connection', 'proxy-authenticate', 'proxy-authorization', 'te', 'trailer',
  'transfer-encoding', 'upgrade', 'expect', 'date', 'traceparent', 'tracestate',
]); // biome-ignore format: one list reads best as one block
const reservedFamilies = /^(?:webhook|svix|content|sec|x-forwarded)-/;

const value = z
  .string()
  .max(maxValueLength, { abort: true })
  .regex(printable, 'must be printable ASCII without control characters (CR, LF, NUL, …) or spaces around it');

function namesFault(given: Readonly<Record<string, unknown>>, context: z.core.$RefinementCtx): void {
  const seen = new Set<string>();
  for (const name of Object.keys(given)) {
    const lower = name.toLowerCase();
    const fault = nameFault(lower) ?? (seen.has(lower) ? 'is given twice' : null);
    seen.add(lower);
    if (fault !== null) context.addIssue({ code: 'custom', path: [name], message: fault });
  }
}

function nameFault(lower: string): string | null {
  if (!token.test(lower)) return 'is not a header name: 1 to 64 letters, digits and hyphens';
  const isReserved = reserved.has(lower) || reservedFamilies.test(lower);
  return isReserved ? 'is set by Postrider or belongs to the connection, and cannot be given' : null;
}

const tooMany = `must have at most ${maxHeaders} headers`;

export const webhookHeaders = z
  .preprocess(emptyListAsObject, z.record(z.string(), value))
  .refine((given) => Object.keys(given).length <= maxHeaders, tooMany)
  .superRefine(namesFault)
  .meta({
    description:
      'Headers to send with every POST, for example one that your gateway needs. They are stored encrypted, and only their names are shown again.',
    examples: [{ 'X-Gateway-Key': 'k-93c1' }],
  });

export const webhookHeaderChanges = z
  .preprocess(emptyListAsObject, z.record(z.string(), value.nullable()))
  .refine((given) => Object.keys(given).length <= maxHeaders, tooMany)
  .superRefine(namesFault)
  .meta({
    description: 'Headers to set, by name, or to remove with null. Other headers are not changed.',
    examples: [{ 'X-Gateway-Key': 'k-2b77', 'X-Old-Key': null }],
  });

type HeaderChanges = Readonly<Record<string, string | null>>;

/** The headers after a change. Names are the same in upper and lower case. Null when there would be too many. */
export function changedHeaders(
  headers: Readonly<Record<string, string>>,
  changes: HeaderChanges,
): Readonly<Record<string, string>> | null {
  const named = new Set(Object.keys(changes).map((name) => name.toLowerCase()));
  const kept = Object.entries(headers).filter(([name]) => !named.has(name.toLowerCase()));
  const set = Object.entries(changes).filter((entry): entry is [string, string] => entry[1] !== null);
  const changed = [...kept, ...set];
  return changed.length > maxHeaders ? null : Object.fromEntries(changed);
}
