/** Objects that are a caller's own making: looked at as a whole before anything in them is, as a body can have half a million members. */
import { z } from 'zod';

/** Any object that `holds`; what else there is to say of it comes after that. */
export function objectWithin(holds: (given: Readonly<Record<string, unknown>>) => boolean, message: string) {
  return z.unknown().transform((value, context): Record<string, unknown> => {
    if (!isObject(value)) context.addIssue({ code: 'invalid_type', expected: 'record', input: value });
    else if (holds(value)) return value;
    else context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });
}

/** An object of so many bytes as JSON at most, well-formed throughout. */
export function jsonObject(maxBytes: number) {
  const message = `may be ${maxBytes} bytes as JSON`;
  return objectWithin((given) => mayFit(given, maxBytes), message)
    .refine(isWellFormed, 'must be well-formed Unicode')
    .refine((given) => Buffer.byteLength(JSON.stringify(given)) <= maxBytes, message);
}

/** What such a schema is in the API's document, for its `meta`. */
export function objectOf(members: object) {
  return { type: 'object', propertyNames: { type: 'string' }, additionalProperties: members } as const;
}

/** Whether JSON of it can be so short: looked at no further than that. */
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

/** What is given was read from JSON, which bounds its depth and what it can hold. */
export function isWellFormed(value: unknown): boolean {
  if (typeof value === 'string') return value.isWellFormed();
  if (typeof value !== 'object' || value === null) return true;
  // A list may be as long as a body, and entries of it would take ten times as much.
  if (Array.isArray(value)) return value.every(isWellFormed);
  return Object.entries(value).every(([name, member]) => name.isWellFormed() && isWellFormed(member));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
