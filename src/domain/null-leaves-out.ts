/** Reads null for a field that may be left out as if it were: SDKs of other languages write null for whatever their caller did not give. */
import { z } from 'zod';

/** Says of a schema in the making of the API's document that its optional fields may be null; the finished one has that written out. */
export const nullMark = 'x-null-leaves-out';

/** What it means that a field is null, for descriptions. */
export const nullNote = 'Null for a field that may be left out is the same as leaving it out.';

/** The same schema, which never sees null for a field that it can do without. @param absent fields of other APIs, for which null asks nothing */
export function nullLeavesOut<Schema extends z.ZodObject>(schema: Schema, absent: readonly string[] = []) {
  const optional = [...Object.keys(schema.shape).filter((name) => mayBeLeftOut(schema.shape[name])), ...absent];
  return z.preprocess((given) => withoutNulls(given, optional), schema).meta({ [nullMark]: true });
}

function mayBeLeftOut(field: unknown): boolean {
  return field instanceof z.ZodOptional || field instanceof z.ZodDefault;
}

/** Copied only where there is a null to leave out. */
function withoutNulls(given: unknown, optional: readonly string[]): unknown {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return given;
  const fields = given as Readonly<Record<string, unknown>>;
  const empty = optional.filter((name) => fields[name] === null && Object.hasOwn(fields, name));
  if (empty.length === 0) return given;
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !empty.includes(name)));
}
