/** Schemas for objects that a caller fills freely. The whole is checked before its members: a body can have half a million of them. */
import { z } from 'zod';

/** Any object that `holds`. Other rules are checked after that. */
export function objectWithin(holds: (given: Readonly<Record<string, unknown>>) => boolean, message: string) {
  return z.unknown().transform((given, context): Record<string, unknown> => {
    const value = emptyListAsObject(given);
    if (!isObject(value)) context.addIssue({ code: 'invalid_type', expected: 'record', input: value });
    else if (holds(value)) return value;
    else context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });
}

/** A well-formed object of at most so many bytes as JSON. */
export function jsonObject(maxBytes: number) {
  const message = `may be ${maxBytes} bytes as JSON`;
  return objectWithin((given) => mayFit(given, maxBytes), message)
    .refine(isWellFormed, 'must be well-formed Unicode')
    .refine((given) => Buffer.byteLength(JSON.stringify(given)) <= maxBytes, message);
}

/** PHP writes an empty object as an empty list: it has one type for both. */
export function emptyListAsObject(given: unknown): unknown {
  return Array.isArray(given) && given.length === 0 ? {} : given;
}

/** Describes such a schema in the API document, for its `meta`. */
export function objectOf(members: object) {
  return { type: 'object', propertyNames: { type: 'string' }, additionalProperties: members } as const;
}

/** Whether its JSON can be short enough. Looks no further than that. */
function mayFit(given: unknown, maxBytes: number): boolean {
  let left = maxBytes;
  const take = (value: unknown): boolean => {
    left -= typeof value === 'string' ? value.length : 1;
    if (typeof value !== 'object' || value === null) return left >= 0;
    if (Array.isArray(value)) return value.every(take);
    const names = Object.keys(value);
    return names.length <= left && names.every((name) => take(name) && take((value as Record<string, unknown>)[name]));
  };
  return take(given);
}

/** The value comes from JSON, so its depth and size are limited already. */
export function isWellFormed(value: unknown): boolean {
  if (typeof value === 'string') return value.isWellFormed();
  if (typeof value !== 'object' || value === null) return true;
  // A list may be as long as a body. Object.entries on it would take ten times as long.
  if (Array.isArray(value)) return value.every(isWellFormed);
  return Object.entries(value).every(([name, member]) => name.isWellFormed() && isWellFormed(member));
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
