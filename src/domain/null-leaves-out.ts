/** Treats null in an optional field as if the field were missing: SDKs of some languages write null for everything their caller did not set. */
import { z } from 'zod';

/** Marks a schema while the API document is made: its optional fields may be null. The finished document says so at each field. */
export const nullMark = 'x-null-leaves-out';

/** Describes the meaning of null. */
export const nullNote = 'An optional field that is null counts as left out.';

/**
 * The same schema, which never sees null in an optional field.
 * @param absent fields of other APIs that we do not have: null in one of them is ignored
 */
export function nullLeavesOut<Schema extends z.ZodObject>(schema: Schema, absent: readonly string[] = []) {
  const optional = [...Object.keys(schema.shape).filter((name) => mayBeLeftOut(schema.shape[name])), ...absent];
  return z.preprocess((given) => withoutNulls(given, optional), schema).meta({ [nullMark]: true });
}

function mayBeLeftOut(field: unknown): boolean {
  return field instanceof z.ZodOptional || field instanceof z.ZodDefault;
}

/** Copies the object only when it has a null to remove. */
function withoutNulls(given: unknown, optional: readonly string[]): unknown {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return given;
  const fields = given as Readonly<Record<string, unknown>>;
  const empty = optional.filter((name) => fields[name] === null && Object.hasOwn(fields, name));
  if (empty.length === 0) return given;
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !empty.includes(name)));
}
