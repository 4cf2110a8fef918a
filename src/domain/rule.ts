/** Rules over several fields of a request. Each is checked even when one of its fields is faulty, so that all faults come at once. */
import type { z } from 'zod';

export type Rule = {
  /** The field at fault. */
  readonly path: string;
  readonly message: string;
  /** Any field may be missing, or of a wrong type. */
  holds(given: Readonly<Record<string, unknown>>): boolean;
};

const isObject = ({ value }: { value: unknown }): boolean =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export function withRules<Schema extends z.ZodType>(schema: Schema, rules: readonly Rule[]): Schema {
  return rules.reduce(
    (ruled, { path, message, holds }) =>
      ruled.refine((given) => holds(given as Readonly<Record<string, unknown>>), {
        path: [path],
        message,
        when: isObject,
      }),
    schema,
  );
}

/** The length of a list; 0 for anything else. */
export function lengthOf(list: unknown): number {
  return Array.isArray(list) ? list.length : 0;
}
