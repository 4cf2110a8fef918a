/** Writes into the schemas of requests which fields may be null: the optional ones. */
import { nullMark } from '../../domain/null-leaves-out.ts';
import type { Schema } from './document.ts';

/** A schema without the mark stays as it is. */
export function writeNullsOut(schema: Schema): Schema {
  const { [nullMark]: mark, ...rest } = schema;
  if (mark === undefined) return schema;
  const required = Array.isArray(rest.required) ? rest.required : [];
  const properties = Object.entries(rest.properties ?? {}).map(([name, property]) => [
    name,
    required.includes(name) ? property : orNull(property),
  ]);
  return { ...rest, properties: Object.fromEntries(properties) };
}

function orNull(schema: Schema): Schema {
  const { type, enum: values, anyOf, $ref, ...rest } = schema;
  if (Array.isArray(anyOf)) return { ...rest, anyOf: [...anyOf, { type: 'null' }] };
  if ($ref !== undefined) return { ...rest, anyOf: [{ $ref }, { type: 'null' }] };
  // A null among the values would make generators write three enumerations for one field.
  if (values !== undefined) return { ...rest, anyOf: [{ type, enum: values }, { type: 'null' }] };
  return typeof type === 'string' ? { ...schema, type: [type, 'null'] } : schema;
}
