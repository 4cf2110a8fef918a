/** openapi.yaml for tests: read, with its references resolved and its schemas compiled. */
import { readFileSync } from 'node:fs';
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { parse } from 'yaml';
import { mapValues } from '../../src/http/openapi/answers.ts';
import type { ApiDocument, Ref, Response, Schema } from '../../src/http/openapi/document.ts';
import type { PublishedDocument } from '../../src/http/openapi/shared-responses.ts';

let document: ApiDocument | undefined;

/** Read once in a process: parsing it takes a second of CPU. */
export function readOpenApi(): ApiDocument {
  document ??= withResponses(
    parse(readFileSync(new URL('../../openapi.yaml', import.meta.url), 'utf8')) as PublishedDocument,
  );
  return document;
}

/** The document with each response at the operations that share it. @throws where an operation refers to a response that is not there */
export function withResponses(published: PublishedDocument): ApiDocument {
  const { responses: shared, ...components } = published.components;
  const inline = (given: Response | Ref) => {
    if (!('$ref' in given)) return given;
    const response = shared[given.$ref.replace('#/components/responses/', '')];
    if (response === undefined) throw new Error(`The document has no ${given.$ref}`);
    return response;
  };
  const paths = mapValues(published.paths, (methods) =>
    mapValues(methods, (operation) => ({ ...operation, responses: mapValues(operation.responses, inline) })),
  );
  return { ...published, paths, components };
}

/** What stands at a local reference; undefined where nothing does. */
export function lookUp(document: ApiDocument, reference: string): unknown {
  if (!reference.startsWith('#/')) return undefined;
  const keys = reference.slice(2).split('/');
  return keys.reduce<unknown>((part, key) => {
    const name = decodeURIComponent(key).replaceAll('~1', '/').replaceAll('~0', '~');
    return typeof part === 'object' && part !== null ? (part as Readonly<Record<string, unknown>>)[name] : undefined;
  }, document);
}

/** `part`, or what it refers to. */
export function resolve<T extends object>(document: ApiDocument, part: T | Ref): T {
  return '$ref' in part && typeof part.$ref === 'string' ? (lookUp(document, part.$ref) as T) : (part as T);
}

/** What is wrong with a value, each fault with its JSON pointer; empty when the value conforms. */
export type Check = (value: unknown) => string[];

const base = 'openapi:document';

/** Compiles each schema once, when it is first asked for, also where it is written in several places. @throws where a schema is not one, or has a keyword nobody knows */
export function openChecks(document: ApiDocument): (schema: Schema) => Check {
  const ajv = new Ajv2020({ allErrors: true, strict: true, allowUnionTypes: true });
  formats.default(ajv);
  ajv.addSchema({ $defs: rebase(document.components.schemas ?? {}) }, base);
  const met = new WeakMap<Schema, Check>();
  const compiled = new Map<string, Check>();
  return (schema) => {
    const known = met.get(schema);
    if (known !== undefined) return known;
    const text = JSON.stringify(schema);
    const check = compiled.get(text) ?? checkBy(ajv.compile(rebase(schema)));
    compiled.set(text, check);
    met.set(schema, check);
    return check;
  };
}

function checkBy(validate: ValidateFunction): Check {
  return (value) => (validate(value) ? [] : (validate.errors ?? []).map(describe));
}

/**
 * References are local to the document, and the schema is compiled by itself. What the document leaves open, for fields of later versions, is
 * closed: this version has no others.
 */
function rebase<T>(part: T): T {
  const text = JSON.stringify(part).replaceAll('"$ref":"#/components/schemas/', `"$ref":"${base}#/$defs/`);
  return JSON.parse(text, (_, value) => {
    const isOpen = value?.type === 'object' && 'properties' in value && !('additionalProperties' in value);
    return isOpen ? { ...value, additionalProperties: false } : value;
  });
}

function describe({ instancePath, message, params }: ErrorObject): string {
  const { additionalProperty, allowedValues, allowedValue } = params as Readonly<Record<string, unknown>>;
  const more = additionalProperty ?? allowedValues ?? allowedValue;
  return `${instancePath || '/'}: ${message}${more === undefined ? '' : ` (${[more].flat().join(', ')})`}`;
}
