/** What we ask of the OpenAPI document beyond being one: each rule is a function from the document to what is wrong with it. */
import { problemsOf } from '../../src/domain/problem.ts';
import {
  type ApiDocument,
  type Media,
  mayBeNull,
  type Operation,
  type Response,
  type Schema,
} from '../../src/http/openapi/document.ts';
import { lookUp, openChecks, resolve } from './openapi.ts';

type Named = { readonly name: string; readonly method: string; readonly path: string; readonly operation: Operation };
type Rule = (document: ApiDocument) => string[];
type OperationRule = (named: Named, document: ApiDocument) => string[];

const problemMedia = 'application/problem+json';
const perhaps = (isWrong: boolean, fault: string): string[] => (isWrong ? [fault] : []);
const isSentence = (text = '') => /^[`A-Z].*[.?]$/s.test(text);

export function operationsOf({ paths }: ApiDocument): Named[] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      name: `${method.toUpperCase()} ${path}`,
      method,
      path,
      operation,
    })),
  );
}

const tagsOf = (paths: ApiDocument['paths'] = {}): string[] =>
  Object.values(paths).flatMap((methods) => Object.values(methods).flatMap(({ tags = [] }) => tags));
const answersOf = ({ responses }: Operation): [status: string, answer: Response][] => Object.entries(responses);
const mediaOf = (answer: Pick<Response, 'content'>): [type: string, media: Media][] =>
  Object.entries(answer.content ?? {});

/** A schema and all within it, each with its place; what it refers to stays out. */
function* within(schema: Schema, place = ''): Generator<[place: string, schema: Schema]> {
  yield [place, schema];
  const maps = ['properties', 'patternProperties', '$defs'].flatMap((word) => Object.entries(schema[word] ?? {}));
  const lists = ['anyOf', 'oneOf', 'allOf', 'prefixItems'].flatMap((word) => Object.entries(schema[word] ?? {}));
  const singles = ['items', 'additionalProperties', 'not'].map((word): [string, unknown] => [word, schema[word]]);
  for (const [name, part] of [...maps, ...lists, ...singles])
    if (typeof part === 'object' && part !== null) yield* within(part as Schema, `${place}/${name}`);
}

/** A schema and all it is made of, by way of references, too. */
function reach(document: ApiDocument, schema: Schema, found = new Set<Schema>()): Set<Schema> {
  for (const [, part] of within(schema)) {
    if (found.has(part)) continue;
    found.add(part);
    if (typeof part.$ref === 'string') reach(document, lookUp(document, part.$ref) as Schema, found);
  }
  return found;
}

function examplesOf(document: ApiDocument, media: Pick<Media, 'schema' | 'example' | 'examples'>): unknown[] {
  const named = Object.values(media.examples ?? {}).map((example) => resolve(document, example).value);
  const ofSchema = media.schema === undefined ? undefined : resolve(document, media.schema).examples;
  return [...(media.example === undefined ? [] : [media.example]), ...named, ...[ofSchema ?? []].flat()];
}

/** Every place where a schema and its examples stand together. */
function placesOf(document: ApiDocument): [place: string, part: Pick<Media, 'schema' | 'example' | 'examples'>][] {
  const { schemas = {}, headers = {} } = document.components;
  return [
    ...Object.entries(schemas).map(([name, schema]): [string, Media] => [name, { schema }]),
    ...Object.entries(headers),
    ...operationsOf(document).flatMap(({ name, operation }) => [
      ...(operation.parameters ?? []).map((parameter): [string, Media] => [`${name} ${parameter.name}`, parameter]),
      ...mediaOf(operation.requestBody ?? {}).map(([, media]): [string, Media] => [`${name} body`, media]),
      ...answersOf(operation).flatMap(([status, answer]) =>
        mediaOf(answer).map(([, media]): [string, Media] => [`${name} ${status}`, media]),
      ),
    ]),
  ];
}

/** Statuses that follow from what a route takes; a status that no problem has yet is left out. */
function statusesDue({ method, path, operation }: Named): number[] {
  const isOpen = operation.security?.length === 0;
  const hasQuery = operation.parameters?.some((parameter) => parameter.in === 'query');
  const due = [
    ...(isOpen ? [] : [401, 403, 429, 500, 503]),
    ...(path.includes('{') ? [400, 404] : []),
    ...(hasQuery ? [422] : []),
    // A body that nobody asked for is read all the same.
    ...(['get', 'head'].includes(method) || path === '/u/{token}' ? [] : [400, 413, 415]),
    ...(operation.requestBody === undefined ? [] : [422]),
  ];
  return due.filter((status) => problemsOf(status).length > 0);
}

const takesKey = ({ parameters }: Operation) => parameters?.some(({ name }) => name === 'idempotency-key') ?? false;

/** /readyz says in the same form what is wrong and that nothing is; a page is for people, also where its link does not work. */
const tellsInItsOwnForm = (path: string, status: string) =>
  (path === '/readyz' && status === '503') || (path === '/u/{token}' && status === '404');

function problemFaults(document: ApiDocument, operation: Operation, status: string, answer: Response): string[] {
  const media = answer.content?.[problemMedia];
  if (media === undefined) return [`${status} is not ${problemMedia}`];
  const examples = Object.entries(media.examples ?? {});
  const known = problemsOf(Number(status)).filter(
    ({ name }) => takesKey(operation) || !/idempoten|from_address/.test(name),
  );
  const wrong = examples.filter(([key, example]) => {
    const { name, title } = resolve(document, example).value as { name: unknown; title: unknown };
    return name !== key || !known.some((kind) => kind.name === key && kind.title === title);
  });
  return [
    ...perhaps(examples.length === 0, `${status} has no example`),
    ...wrong.map(([key]) => `${status} has no problem ${key}`),
  ];
}

function headersDue({ operation, method }: Named, status: string, answer: Response): string[] {
  const isProblem = answer.content?.[problemMedia] !== undefined;
  return [
    ...perhaps(isProblem && ['429', '503'].includes(status), 'Retry-After'),
    ...('429' in operation.responses && status !== '401' ? ['RateLimit', 'RateLimit-Policy'] : []),
    ...perhaps(takesKey(operation) && method === 'post' && status < '300', 'Idempotent-Replayed'),
  ];
}

/** One of them says what a value is. A schema without any word is of anything, as the values of metadata are. */
const typeWords = ['type', 'enum', 'const', '$ref', 'anyOf', 'oneOf', 'allOf'];

const operationRules: Record<string, OperationRule> = {
  'has an operationId, a summary and a description': ({ operation }) => [
    ...perhaps(!/^[a-z]+(?:[A-Z][a-z]+)*$/.test(operation.operationId ?? ''), 'operationId is not in camelCase'),
    ...perhaps(!/^[A-Z][^.]{4,60}[^.?]$/.test(operation.summary ?? ''), 'summary is not one short phrase'),
    ...perhaps(!isSentence(operation.description), 'description is not a sentence'),
  ],
  'has one tag, and that is described': ({ operation }, { tags = [] }) => {
    const [tag, ...more] = operation.tags ?? [];
    const isKnown = tags.some(({ name, description }) => name === tag && isSentence(description));
    return perhaps(!isKnown || more.length > 0, `tags: ${operation.tags}`);
  },
  'declares the variables of its path, and each parameter once': ({ path, operation }) => {
    const parameters = operation.parameters ?? [];
    const declared = parameters.filter((parameter) => parameter.in === 'path' && parameter.required === true);
    const wanted = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    const places = parameters.map((parameter) => `${parameter.in} ${parameter.name.toLowerCase()}`);
    return [
      ...perhaps(String(declared.map(({ name }) => name)) !== String(wanted), `path variables: ${wanted}`),
      ...perhaps(new Set(places).size < places.length, `parameters: ${places}`),
    ];
  },
  'describes each parameter': ({ operation }) =>
    (operation.parameters ?? [])
      .filter(({ description, schema }) => !isSentence(description) || schema === undefined)
      .map(({ name }) => name),
  'takes a header as text of one form': ({ operation }) =>
    (operation.parameters ?? [])
      .filter((parameter) => parameter.in === 'header' && parameter.schema?.type !== 'string')
      .map(({ name }) => name),
  'describes each property of its body and its answers': ({ operation }, document) =>
    [operation.requestBody ?? {}, ...Object.values(operation.responses)].flatMap(mediaOf).flatMap(([, media]) =>
      [...reach(document, media.schema ?? {})]
        .flatMap((part) => Object.entries((part.properties ?? {}) as Readonly<Record<string, Schema>>))
        .filter(([, property]) => !isSentence(String(property.description ?? resolve(document, property).description)))
        .map(([name]) => name),
    ),
  'says of what type each part of its body is': ({ operation }, document) =>
    mediaOf(operation.requestBody ?? {}).flatMap(([type, media]) =>
      [...reach(document, media.schema ?? {})]
        .filter((part) => Object.keys(part).length > 0 && !typeWords.some((word) => word in part))
        .map(({ description }) => `${type} has no type for: ${description}`),
    ),
  'shows an example of its body, which is required unless it may be null': (
    { operation: { requestBody } },
    document,
  ) => [
    ...perhaps(
      requestBody !== undefined &&
        (requestBody.required ?? false) === mediaOf(requestBody).some(([, media]) => mayBeNull(media)),
      `body is required: ${requestBody?.required}`,
    ),
    ...mediaOf(requestBody ?? {}).flatMap(([type, media]) =>
      perhaps(examplesOf(document, media).length === 0, `body has no example as ${type}`),
    ),
  ],
  'takes a body only where HTTP gives it a meaning': ({ method, operation }) =>
    perhaps(operation.requestBody !== undefined && ['get', 'head', 'delete'].includes(method), 'takes a body'),
  'shows an example of each answer': ({ operation }, document) =>
    answersOf(operation).flatMap(([status, answer]) =>
      mediaOf(answer).flatMap(([type, media]) =>
        perhaps(examplesOf(document, media).length === 0, `${status} has no example as ${type}`),
      ),
    ),
  'describes each answer, one of them a success': ({ operation }) => [
    ...perhaps(!answersOf(operation).some(([status]) => /^2\d\d$/.test(status)), 'has no success'),
    ...answersOf(operation)
      .filter(([, { description }]) => description === '' || description === 'Default Response')
      .map(([status]) => `${status} is not described`),
  ],
  'documents each status that follows from what it takes': (named) =>
    statusesDue(named)
      .filter((status) => !(status in named.operation.responses))
      .map((status) => `${status} is missing`),
  'answers an error as a problem, with an example by its name': ({ path, operation }, document) =>
    answersOf(operation)
      .filter(([status]) => Number(status) >= 400 && !tellsInItsOwnForm(path, status))
      .flatMap(([status, answer]) => problemFaults(document, operation, status, answer)),
  'names the headers that come with an answer': (named, document) =>
    answersOf(named.operation).flatMap(([status, answer]) =>
      headersDue(named, status, answer)
        .filter((name) => {
          const header = answer.headers?.[name];
          return header === undefined || !isSentence(resolve(document, header).description);
        })
        .map((name) => `${status} lacks ${name}`),
    ),
  'asks for a key by a scheme that there is': ({ operation }, { security, components }) =>
    (operation.security ?? security ?? [{}])
      .flatMap((schemes) => (Object.keys(schemes).length === 0 ? ['nothing'] : Object.keys(schemes)))
      .filter((name) => components.securitySchemes?.[name] === undefined),
};

const documentRules: Record<string, Rule> = {
  'is OpenAPI 3.1 of the server it comes from': ({ openapi, servers }) => [
    ...perhaps(!/^3\.1\.\d$/.test(openapi), `openapi: ${openapi}`),
    ...perhaps(JSON.stringify(servers) !== '[{"url":"/"}]', `servers: ${JSON.stringify(servers)}`),
  ],
  'operation ids are unique': (document) => {
    const ids = operationsOf(document).map(({ operation }) => operation.operationId ?? '');
    return ids.filter((id, index) => ids.indexOf(id) !== index);
  },
  'paths differ in more than the names of their variables': ({ paths }) => {
    const shapes = Object.keys(paths).map((path) => path.replaceAll(/\{\w+\}/g, '{}'));
    return shapes.filter((shape, index) => shapes.indexOf(shape) !== index || !/^\/[\w/.{}-]+$/.test(shape));
  },
  'no tag is left over': (document) => {
    const used = [...tagsOf(document.paths), ...tagsOf(document.webhooks)];
    return (document.tags ?? []).map(({ name }) => name).filter((name) => !used.includes(name));
  },
  'webhooks and paths share no tag, as a generator would write one file over the other': ({ paths, webhooks }) =>
    tagsOf(webhooks).filter((tag) => tagsOf(paths).includes(tag)),
  'no truth value is fixed, as clients of OpenAPI Generator refuse it': (document) =>
    [...JSON.stringify(document).matchAll(/"(?:const|enum)":\[?(?:true|false)/g)].map(([fault]) => fault),
  'no schema is oneOf, as clients that look at no enum find several forms of one event': (document) =>
    [...JSON.stringify(document).matchAll(/"oneOf":/g)].map(([fault]) => fault),
  'every pattern can be read in any language': (document) =>
    [...JSON.stringify(document).matchAll(/"pattern":"((?:[^"\\]|\\.)*)"/g)]
      .map(([, pattern = '']) => pattern)
      .filter((pattern) => /\\p\{/i.test(pattern)),
  'every reference leads somewhere': (document) =>
    [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)]
      .map(([, reference = '']) => reference)
      .filter((reference) => lookUp(document, reference) === undefined),
  'every component is referred to': ({ paths, webhooks, components }) => {
    const text = JSON.stringify({ paths, webhooks, components });
    return (['schemas', 'headers', 'examples'] as const).flatMap((section) =>
      Object.keys(components[section] ?? {})
        .map((name) => `#/components/${section}/${name}`)
        .filter((reference) => !text.includes(`"${reference}"`)),
    );
  },
  'every schema is one, and its examples conform to it': (document) => {
    const checkOf = openChecks(document);
    return placesOf(document).flatMap(([place, part]) => {
      const { schema = {} } = part;
      const nested = [...within(schema)].map(([at, inner]): [string, Media] => [place + at, { schema: inner }]);
      return [[place, part] as const, ...nested].flatMap(([at, { schema: own = {}, ...rest }]) => {
        try {
          const check = checkOf(own);
          return examplesOf(document, { schema: own, ...rest }).flatMap((value) =>
            check(value).map((fault) => `${at} example ${fault}`),
          );
        } catch (error) {
          return [`${at} ${String(error)}`];
        }
      });
    });
  },
};

export const openApiRules: Readonly<Record<string, Rule>> = {
  ...documentRules,
  ...Object.fromEntries(
    Object.entries(operationRules).map(([name, rule]): [string, Rule] => [
      `each operation ${name}`,
      (document) =>
        operationsOf(document).flatMap((named) => rule(named, document).map((fault) => `${named.name} ${fault}`)),
    ]),
  ),
};
