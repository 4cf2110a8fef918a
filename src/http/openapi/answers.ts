/** Parts that the answers of all routes share, added to the document once: descriptions, an example of each problem, and headers. */
import { type ProblemName, problemsOf } from '../../domain/problem.ts';
import { problemMedia } from '../problem-media.ts';
import type { ApiDocument, Header, Media, Operation, Ref, Response } from './document.ts';
import { exampleNameOf, problemExamples, urlProblemExamples } from './problem-examples.ts';

const headers = {
  'Retry-After': {
    required: true,
    description: 'Seconds to wait before trying again.',
    schema: { type: 'integer', minimum: 1 },
    example: 2,
  },
  'RateLimit-Policy': {
    description:
      'The limits of this API key: how many requests (`q`) in how many seconds (`w`). Absent for a key without limits.',
    schema: { type: 'string' },
    example: '"second";q=14;w=1, "hour";q=5000;w=3600',
  },
  RateLimit: {
    description:
      'How many requests are left (`r`), and the seconds until there are more (`t`). Absent for a key without limits.',
    schema: { type: 'string' },
    example: '"second";r=13;t=1, "hour";r=4211;t=1805',
  },
  'RateLimit-Limit': {
    description: 'For older clients: the limit that will be reached first, as a number of requests.',
    schema: { type: 'integer' },
    example: 14,
  },
  'RateLimit-Remaining': {
    description: 'For older clients: the requests left of it.',
    schema: { type: 'integer' },
    example: 13,
  },
  'RateLimit-Reset': {
    description: 'For older clients: the seconds until there are more.',
    schema: { type: 'integer' },
    example: 1,
  },
  'WWW-Authenticate': {
    required: true,
    description: 'How to authenticate (RFC 9110 section 11.6.1).',
    schema: { type: 'string' },
    example: 'Bearer',
  },
  'Idempotent-Replayed': {
    description: '`true` if this answer repeats an earlier one for the same Idempotency-Key; absent otherwise.',
    schema: { type: 'string', enum: ['true'] },
    example: 'true',
  },
} satisfies Record<string, Header>;

type HeaderName = keyof typeof headers;

const ofRates: readonly HeaderName[] = [
  'RateLimit-Policy',
  'RateLimit',
  'RateLimit-Limit',
  'RateLimit-Remaining',
  'RateLimit-Reset',
];

export function completeAnswers(document: ApiDocument): ApiDocument {
  const paths = mapValues(document.paths, (methods) =>
    mapValues(methods, (operation, method) => ({
      ...operation,
      responses: mapValues(operation.responses, (response, status) =>
        completeAnswer(document, { ...operation, method }, Number(status), response),
      ),
    })),
  );
  const text = JSON.stringify(paths);
  const used = <T>(section: string, parts: Readonly<Record<string, T>>) =>
    Object.fromEntries(Object.entries(parts).filter(([name]) => text.includes(`#/components/${section}/${name}"`)));
  return {
    ...document,
    paths,
    components: {
      ...document.components,
      headers: used('headers', headers),
      examples: used('examples', { ...problemExamples, ...urlProblemExamples }),
    },
  };
}

type Named = Operation & { readonly method: string };

function completeAnswer(document: ApiDocument, operation: Named, status: number, response: Response): Response {
  const problem = response.content?.[problemMedia[0]];
  const shared = referToHeaders(headersOf(operation, status, problem !== undefined));
  const described = { ...response, ...withHeaders(response, shared) };
  if (problem === undefined) return { ...described, description: descriptionOf(document, response) };
  const kinds = problemsOf(status).filter(({ name }) => canAnswer(operation, name));
  const examples = Object.fromEntries(
    kinds.map(({ name }) => [name, { $ref: `#/components/examples/${exampleNameOf(name, operation.method)}` }]),
  );
  return {
    ...described,
    description: `${kinds.map(({ title }) => title).join('; or: ')}.`,
    content: {
      ...response.content,
      ...Object.fromEntries(problemMedia.map((type) => [type, { ...problem, examples }])),
    },
  };
}

function headersOf(operation: Operation, status: number, isProblem: boolean): HeaderName[] {
  const isLimited = '429' in operation.responses && status !== 401;
  return [
    ...(isProblem && (status === 429 || status === 503) ? (['Retry-After'] as const) : []),
    ...(isProblem && status === 401 ? (['WWW-Authenticate'] as const) : []),
    ...(isLimited ? ofRates : []),
    ...(takesIdempotencyKey(operation) && status < 300 ? (['Idempotent-Replayed'] as const) : []),
  ];
}

function takesIdempotencyKey({ parameters = [] }: Operation): boolean {
  return parameters.some(({ name }) => name === 'idempotency-key');
}

const ofIdempotency: readonly ProblemName[] = ['invalid_idempotency_key', 'invalid_idempotent_request'];

/** Whether this operation can answer with a problem of a documented status at all. */
function canAnswer(operation: Operation, name: ProblemName): boolean {
  if (name === 'invalid_from_address')
    return (
      takesIdempotencyKey(operation) && operation.tags?.some((tag) => tag === 'emails' || tag === 'campaigns') === true
    );
  return !ofIdempotency.includes(name) || takesIdempotencyKey(operation);
}

/** The description of a schema describes its answer too. The generator uses it only when the schema is written in the route itself. */
function descriptionOf({ components }: ApiDocument, { description, content = {} }: Response): string {
  const [media]: readonly (Media | undefined)[] = Object.values(content);
  const name = /^#\/components\/schemas\/(\w+)$/.exec(String(media?.schema?.$ref))?.[1];
  const described = components.schemas?.[name ?? '']?.description;
  return typeof described === 'string' ? described : description;
}

function withHeaders(response: Response, shared: Record<string, Ref>): Pick<Response, 'headers'> {
  const all = { ...shared, ...response.headers };
  return Object.keys(all).length === 0 ? {} : { headers: all };
}

function referToHeaders(names: readonly HeaderName[]): Record<string, Ref> {
  return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));
}

export function mapValues<T, U>(of: Readonly<Record<string, T>>, map: (value: T, key: string) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(of).map(([key, value]) => [key, map(value, key)]));
}
