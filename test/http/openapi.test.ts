/** The OpenAPI document keeps our rules in every operation, whoever adds one; and each rule bites. */
import { beforeAll, describe, expect, it } from 'vitest';
import type { ApiDocument } from '../../src/http/openapi/document.ts';
import { describeApi } from '../../src/http/openapi.ts';
import { withResponses } from '../support/openapi.ts';
import { openApiRules } from '../support/openapi-rules.ts';

let document: ApiDocument;
beforeAll(async () => {
  document = withResponses(await describeApi('1.0.0'));
});

describe('the document', () => {
  it.each(Object.entries(openApiRules))('%s', (_, rule) => {
    expect(rule(document)).toEqual([]);
  });
});

type Place = readonly string[];

/** A copy with another value at one place; undefined takes it away. */
function edit<T>(part: T, [key, ...rest]: Place, value: unknown): T {
  if (key === undefined) return value as T;
  const inner = (part as Readonly<Record<string, unknown>> | undefined)?.[key];
  const { [key]: _, ...others } = (part ?? {}) as Record<string, unknown>;
  const edited = edit(inner, rest, value);
  const copy = edited === undefined ? others : { ...others, [key]: edited };
  return (Array.isArray(part) ? Object.values(copy) : copy) as T;
}

/** With the paths below alone: schemas are compiled anew for each of these, which takes seconds for all paths. */
const ruleOfSchemas = 'every schema is one, and its examples conform to it';
const fewPaths = ['/v1/emails', '/v1/emails/{id}'];

function partFor(rule: string): ApiDocument {
  if (rule !== ruleOfSchemas) return document;
  return { ...document, paths: Object.fromEntries(fewPaths.map((path) => [path, document.paths[path] ?? {}])) };
}

describe('each rule bites', () => {
  const send = ['paths', '/v1/emails', 'post'];
  const get = ['paths', '/v1/emails/{id}', 'get'];
  const cancel = ['paths', '/v1/emails/{id}/cancel', 'post'];
  const sendCampaign = ['paths', '/v1/campaigns/{id}/send', 'post'];
  const problem = ['content', 'application/problem+json'];
  const schemas = ['components', 'schemas'];
  const offences: [rule: string, place: Place, value: unknown][] = [
    ['is OpenAPI 3.1 of the server it comes from', ['servers'], [{ url: 'https://example.com' }]],
    ['is OpenAPI 3.1 of the server it comes from', ['openapi'], '3.0.3'],
    ['operation ids are unique', [...get, 'operationId'], 'sendEmail'],
    ['paths differ in more than the names of their variables', ['paths', '/v1/emails/{name}'], {}],
    ['no tag is left over', ['tags', '9'], { name: 'cats', description: 'Cats.' }],
    [
      'webhooks and paths share no tag, as a generator would write one file over the other',
      ['webhooks', 'event', 'post', 'tags'],
      ['emails'],
    ],
    [
      'no truth value is fixed, as clients of OpenAPI Generator refuse it',
      [...schemas, 'Tag', 'properties', 'name', 'const'],
      false,
    ],
    [
      'no schema is oneOf, as clients that look at no enum find several forms of one event',
      [...schemas, 'Tag', 'properties', 'name', 'oneOf'],
      [{ type: 'string' }],
    ],
    ['every pattern can be read in any language', [...schemas, 'Tag', 'properties', 'name', 'pattern'], '^\\P{Cc}*$'],
    ['every reference leads somewhere', [...schemas, 'Recipient'], undefined],
    ['every component is referred to', [...schemas, 'Cat'], { type: 'object' }],
    [ruleOfSchemas, [...schemas, 'Recipient', 'size'], 1],
    [ruleOfSchemas, [...schemas, 'Webhook', 'properties', 'id', 'type'], 'integer'],
    [
      ruleOfSchemas,
      [...get, 'responses', '200', 'content', 'application/json', 'examples', 'sent', 'value', 'status'],
      'gone',
    ],
    [ruleOfSchemas, ['components', 'examples', 'not_found', 'value', 'status'], '4'],
    ['each operation has an operationId, a summary and a description', [...send, 'operationId'], 'send_email'],
    ['each operation has an operationId, a summary and a description', [...send, 'summary'], 'Sends an email.'],
    ['each operation has an operationId, a summary and a description', [...send, 'description'], undefined],
    ['each operation has one tag, and that is described', [...send, 'tags'], ['mail']],
    ['each operation has one tag, and that is described', ['tags', '0', 'description'], ''],
    ['each operation declares the variables of its path, and each parameter once', [...get, 'parameters'], []],
    [
      'each operation declares the variables of its path, and each parameter once',
      [...send, 'parameters', '1'],
      { in: 'header', name: 'Idempotency-Key', schema: {}, description: 'Twice.' },
    ],
    ['each operation describes each parameter', [...send, 'parameters', '0', 'description'], undefined],
    ['each operation takes a header as text of one form', [...send, 'parameters', '0', 'schema'], { anyOf: [] }],
    [
      'each operation describes each property of its body and its answers',
      [...schemas, 'EmailRequest', 'properties', 'subject', 'description'],
      undefined,
    ],
    [
      'each operation describes each property of its body and its answers',
      [...schemas, 'Tag', 'properties', 'name', 'description'],
      undefined,
    ],
    [
      'each operation describes each property of its body and its answers',
      [...schemas, 'Recipient', 'properties', 'email', 'description'],
      undefined,
    ],
    [
      'each operation says of what type each part of its body is',
      [...schemas, 'EmailRequest', 'properties', 'expires_at'],
      { description: 'No type.' },
    ],
    [
      'each operation shows an example of its body, which is required unless it may be null',
      [...send, 'requestBody', 'content', 'application/json', 'examples'],
      undefined,
    ],
    [
      'each operation shows an example of its body, which is required unless it may be null',
      [...send, 'requestBody', 'required'],
      undefined,
    ],
    [
      'each operation shows an example of its body, which is required unless it may be null',
      [...sendCampaign, 'requestBody', 'required'],
      true,
    ],
    [
      'each operation takes a body only where HTTP gives it a meaning',
      [...get, 'requestBody'],
      { required: true, content: {} },
    ],
    [
      'each operation shows an example of each answer',
      [...get, 'responses', '200', 'content', 'application/json', 'examples'],
      undefined,
    ],
    ['each operation describes each answer, one of them a success', [...send, 'responses', '202'], undefined],
    [
      'each operation describes each answer, one of them a success',
      [...send, 'responses', '202', 'description'],
      'Default Response',
    ],
    ['each operation documents each status that follows from what it takes', [...send, 'responses', '413'], undefined],
    [
      'each operation documents each status that follows from what it takes',
      [...cancel, 'responses', '415'],
      undefined,
    ],
    ['each operation documents each status that follows from what it takes', [...get, 'responses', '401'], undefined],
    ['each operation documents each status that follows from what it takes', [...get, 'responses', '500'], undefined],
    ['each operation documents each status that follows from what it takes', [...get, 'responses', '400'], undefined],
    [
      'each operation answers an error as a problem, with an example by its name',
      [...get, 'responses', '404', ...problem, 'examples'],
      undefined,
    ],
    [
      'each operation answers an error as a problem, with an example by its name',
      [...get, 'responses', '404', ...problem, 'examples', 'missing_api_key'],
      { $ref: '#/components/examples/missing_api_key' },
    ],
    [
      'each operation answers an error as a problem, with an example by its name',
      [...get, 'responses', '404', 'content'],
      { 'application/json': {} },
    ],
    ['each operation names the headers that come with an answer', [...get, 'responses', '503', 'headers'], undefined],
    ['each operation names the headers that come with an answer', [...send, 'responses', '202', 'headers'], undefined],
    ['each operation names the headers that come with an answer', [...get, 'responses', '429'], {}],
    ['each operation asks for a key by a scheme that there is', [...send, 'security'], [{ password: [] }]],
    ['each operation asks for a key by a scheme that there is', [...send, 'security'], [{}]],
  ];

  it.each(offences)('%s: %j', (name, place, value) => {
    expect(openApiRules[name]?.(edit(partFor(name), place, value))).not.toEqual([]);
  });

  it('and none is without an offence here', () => {
    expect([...new Set(offences.map(([name]) => name))]).toEqual(Object.keys(openApiRules));
  });
});
