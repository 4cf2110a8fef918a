/** The parts of an OpenAPI 3.1 document that we read and write, and the steps from the generated document to ours. */
import { lineTypes } from '../records.ts';
import { completeAnswers, mapValues } from './answers.ts';
import { placeExamples, type RouteExamples } from './examples.ts';
import { writeNullsOut } from './nullable.ts';
import { openAnswers } from './open-answers.ts';
import { unifySchemas } from './schemas.ts';
import { type PublishedDocument, shareResponses } from './shared-responses.ts';

export type Schema = { readonly [keyword: string]: unknown };
export type Ref = { readonly $ref: string };
export type Example = { readonly summary?: string; readonly value: unknown };
export type Media = {
  readonly schema?: Schema;
  readonly example?: unknown;
  readonly examples?: Readonly<Record<string, Example | Ref>>;
};
export type Header = {
  readonly description?: string;
  readonly required?: boolean;
  readonly schema?: Schema;
  readonly example?: unknown;
};
export type Response = {
  readonly description: string;
  readonly headers?: Readonly<Record<string, Header | Ref>>;
  readonly content?: Readonly<Record<string, Media>>;
};
type Parameter = {
  readonly name: string;
  readonly in: string;
  readonly required?: boolean;
  readonly description?: string;
  readonly schema?: Schema;
  readonly example?: unknown;
  readonly examples?: Readonly<Record<string, Example | Ref>>;
};
export type Operation = {
  readonly operationId?: string;
  readonly summary?: string;
  readonly description?: string;
  readonly tags?: readonly string[];
  readonly security?: readonly Readonly<Record<string, readonly string[]>>[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: {
    readonly required?: boolean;
    readonly description?: string;
    readonly content: Readonly<Record<string, Media>>;
  };
  readonly responses: Readonly<Record<string, Response>>;
  /** As the route gives them. In the finished document they are with the body and the answers they belong to. */
  readonly 'x-examples'?: RouteExamples;
};
export type ApiDocument = {
  readonly openapi: string;
  readonly info: Readonly<Record<string, unknown>>;
  readonly servers?: readonly { readonly url: string }[];
  readonly tags?: readonly { readonly name: string; readonly description?: string }[];
  readonly security?: Operation['security'];
  /** By path, then by method in lower case. */
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  /** The requests that we send to others, by name and then by method. */
  readonly webhooks?: ApiDocument['paths'];
  readonly components: {
    readonly securitySchemes?: Readonly<Record<string, object>>;
    readonly schemas?: Readonly<Record<string, Schema>>;
    readonly headers?: Readonly<Record<string, Header>>;
    readonly examples?: Readonly<Record<string, Example>>;
  };
};

/** @param generated what the generator made from the routes and their schemas */
export function completeDocument(generated: object): PublishedDocument {
  return shareResponses(placeExamples(completeAnswers(openAnswers(unifySchemas(describeBodies(simplify(generated)))))));
}

/**
 * For an upload that may also be a JSON array, the generator gives every media type the same schema. NDJSON and CSV are text instead. And it takes
 * every body for required. One that may be null may also be left out.
 */
function describeBodies(document: ApiDocument): ApiDocument {
  const ofMedia = (media: Media, type: string): Media =>
    lineTypes.some((one) => one === type)
      ? { ...media, schema: { description: media.schema?.description, type: 'string' } }
      : media;
  const ofBody = (operation: Operation): Operation => {
    const { requestBody: body } = operation;
    if (body === undefined) return operation;
    const required = !Object.values(body.content).some(mayBeNull);
    return { ...operation, requestBody: { ...body, required, content: mapValues(body.content, ofMedia) } };
  };
  return { ...document, paths: mapValues(document.paths, (methods) => mapValues(methods, ofBody)) };
}

export function mayBeNull({ schema }: Media): boolean {
  return Array.isArray(schema?.anyOf) && schema.anyOf.some((form: Schema) => form.type === 'null');
}

/**
 * A copy without what a reader knows already of numbers and times: the range of a safe integer, and the pattern of RFC 3339. And without fixed
 * truth values: clients of OpenAPI Generator compare them with words, and refuse every answer. The forms of an event, which zod writes as oneOf,
 * are anyOf: those clients look at no enum, and would find an event in several forms.
 */
function simplify(generated: object): ApiDocument {
  return JSON.parse(JSON.stringify(generated), (_key, value: unknown) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    const kept = Object.entries(value).filter(
      ([key, part]) =>
        !(key === 'minimum' && part === Number.MIN_SAFE_INTEGER) &&
        !(key === 'maximum' && part === Number.MAX_SAFE_INTEGER) &&
        !(key === 'pattern' && 'format' in value && value.format === 'date-time') &&
        !(key === 'const' && typeof part === 'boolean'),
    );
    return writeNullsOut(Object.fromEntries(kept.map(([key, part]) => [key === 'oneOf' ? 'anyOf' : key, part])));
  });
}
