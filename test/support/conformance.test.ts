/** Each way in which an answer, or a body that was accepted, can differ from the document is found and named. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, describe, expect, it } from 'vitest';
import type { ApiDocument, Response } from '../../src/http/openapi/document.ts';
import { type Exchange, expectConformance, openConformance, watchedFetch } from './conformance.ts';

const json = (schema: string): Pick<Response, 'content'> => ({
  content: { 'application/json': { schema: { $ref: `#/components/schemas/${schema}` } } },
});

const document: ApiDocument = {
  openapi: '3.1.0',
  info: {},
  paths: {
    '/cats': {
      post: {
        operationId: 'createCat',
        requestBody: { content: json('NewCat').content ?? {} },
        responses: {
          '201': { description: '', ...json('Cat') },
          '500': { description: '', ...json('Cat') },
          '503': { description: '', ...json('Cat'), headers: { 'Retry-After': { $ref: '#/components/headers/Wait' } } },
        },
      },
    },
    '/cats/{id}': {
      get: { operationId: 'getCat', responses: { '200': { description: '', ...json('Cat') } } },
      delete: { operationId: 'deleteCat', responses: { '204': { description: '' } } },
    },
    '/cats/all': {
      get: { operationId: 'exportCats', responses: { '200': { description: '', content: { 'text/csv': {} } } } },
    },
  },
  components: {
    headers: { Wait: { required: true, schema: { type: 'integer' } } },
    schemas: {
      NewCat: {
        type: 'object',
        properties: { name: { type: 'string' } },
        required: ['name'],
        additionalProperties: false,
      },
      Cat: {
        type: 'object',
        properties: {
          errors: { type: 'array' },
          id: { type: 'string' },
          born: { type: 'string', format: 'date-time' },
          mood: { enum: ['good'] },
        },
        required: ['id'],
      },
    },
  },
};

const find = openConformance(document);

function exchange(method: string, url: string, status: number, body: unknown, more: Partial<Exchange> = {}): Exchange {
  const text = body === undefined ? '' : JSON.stringify(body);
  return { method, url, status, headers: { 'content-type': 'application/json; charset=utf-8' }, text, ...more };
}

describe('values that fit the document pass', () => {
  it.each<[string, Exchange]>([
    ['an answer', exchange('GET', '/cats/1', 200, { id: '1', born: '2026-01-01T00:00:00Z', mood: 'good' })],
    ['with a query and an origin', exchange('GET', 'http://cats.example/cats/1?x=1', 200, { id: '1' })],
    ['an accepted body', exchange('POST', '/cats', 201, { id: '1' }, { sent: '{"name":"Tom"}' })],
    [
      'a body of which a part was refused',
      exchange('POST', '/cats', 201, { id: '1', errors: ['no name'] }, { sent: '{}' }),
    ],
    ['no body', exchange('DELETE', '/cats/1', 204, undefined, { headers: {} })],
    ['text', exchange('GET', '/cats/all', 200, undefined, { headers: { 'content-type': 'text/csv' }, text: 'Tom' })],
    ['HEAD', exchange('HEAD', '/cats/1', 200, undefined)],
    ['a method that the more special of two paths does not have', exchange('DELETE', '/cats/all', 405, {})],
    ['a method that is not there, to a caller without a key', exchange('PATCH', '/cats/1', 401, { any: 'thing' })],
    ['a method that is not there', exchange('PATCH', '/cats/1', 404, { any: 'thing' })],
    ['a path that is not documented', exchange('GET', '/dogs', 200, { any: 'thing' })],
    [
      'a required header',
      exchange(
        'POST',
        '/cats',
        503,
        { id: '1' },
        {
          headers: { 'content-type': 'application/json', 'retry-after': '2' },
        },
      ),
    ],
  ])('%s', (_, seen) => {
    expect(find(seen)).toEqual([]);
  });
});

describe('values that do not fit the document are named', () => {
  it.each<[string, Exchange, string[]]>([
    [
      'a status',
      exchange('GET', '/cats/1', 418, { id: '1' }),
      ['GET /cats/{id} (getCat) answered 418: the status is not documented'],
    ],
    [
      'a method',
      exchange('PATCH', '/cats/1', 200, {}),
      ['PATCH /cats/{id} (no operation) answered 200: the method is not documented'],
    ],
    [
      'every fault of a body, by its place',
      exchange('GET', '/cats/1', 200, { born: 'today', mood: 'bad', tail: 1 }),
      [
        "GET /cats/{id} (getCat) answered 200: body /: must have required property 'id'",
        'GET /cats/{id} (getCat) answered 200: body /: must NOT have additional properties (tail)',
        'GET /cats/{id} (getCat) answered 200: body /born: must match format "date-time"',
        'GET /cats/{id} (getCat) answered 200: body /mood: must be equal to one of the allowed values (good)',
      ],
    ],
    [
      'a body that is not JSON',
      exchange('GET', '/cats/1', 200, undefined, { text: 'Tom' }),
      ['GET /cats/{id} (getCat) answered 200: body is not JSON'],
    ],
    [
      'a content type',
      exchange('GET', '/cats/1', 200, undefined, { headers: { 'content-type': 'text/html' } }),
      ['GET /cats/{id} (getCat) answered 200: the content type is text/html, not application/json'],
    ],
    [
      'a content type, of the more special of two paths',
      exchange('GET', '/cats/all', 200, { id: 'all' }),
      ['GET /cats/all (exportCats) answered 200: the content type is application/json, not text/csv'],
    ],
    [
      'a body of HEAD',
      exchange('HEAD', '/cats/1', 200, { id: '1' }),
      ['HEAD /cats/{id} (getCat) answered 200: a body is not documented'],
    ],
    [
      'a status of HEAD',
      exchange('HEAD', '/cats', 200, undefined),
      ['HEAD /cats (no operation) answered 200: the method is not documented'],
    ],
    [
      'a body where there is none',
      exchange('DELETE', '/cats/1', 204, { id: '1' }),
      ['DELETE /cats/{id} (deleteCat) answered 204: a body is not documented'],
    ],
    [
      'a failure of the server, documented as it is',
      exchange('POST', '/cats', 500, { id: '1' }),
      ['POST /cats (createCat) answered 500: the server failed'],
    ],
    [
      'a header',
      exchange('POST', '/cats', 503, { id: '1' }),
      ['POST /cats (createCat) answered 503: the header Retry-After is missing'],
    ],
    [
      'a request the server accepts and the document does not',
      exchange('POST', '/cats', 201, { id: '1' }, { sent: '{"name":"Tom","tail":1}' }),
      ['POST /cats (createCat) answered 201: accepted request body /: must NOT have additional properties (tail)'],
    ],
  ])('%s', (_, seen, faults) => {
    expect(find(seen)).toEqual(faults);
  });

  it('but a refused request may be anything', () => {
    const headers = { 'content-type': 'application/json', 'retry-after': '2' };
    expect(find(exchange('POST', '/cats', 503, { id: '1' }, { headers, sent: '{' }))).toEqual([]);
  });

  it('by the name of the document, which openapi.yaml is for every client of the tests', () => {
    expect(() => expectConformance(exchange('GET', '/livez', 200, { status: 'dead' }))).toThrow(
      /openapi\.yaml[\s\S]*GET \/livez \(getLiveness\) answered 200: body \/status: must be equal to constant \(alive\)/,
    );
  });
});

describe('a watched fetch', () => {
  const server = createServer((_request, response) =>
    response.writeHead(201, { 'content-type': 'application/json' }).end('{"id":1}'),
  );
  afterAll(() => new Promise((closed) => server.close(closed)));

  it('answers as usual, and reports what was wrong', async () => {
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    const told: string[] = [];
    const watched = watchedFetch(fetch, find, (faults) => told.push(...faults));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/cats`;
    const answer = await watched(url, { method: 'POST', body: '{"name":2}', headers: { connection: 'close' } });
    expect([answer.status, await answer.json()]).toEqual([201, { id: 1 }]);
    expect(told).toEqual([
      'POST /cats (createCat) answered 201: body /id: must be string',
      'POST /cats (createCat) answered 201: accepted request body /name: must be string',
    ]);
  });
});
