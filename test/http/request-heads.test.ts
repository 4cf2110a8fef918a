/** Heads of requests, over a real connection: what is refused for them alone, and that a body is asked for only where it is read. */
import { describe, expect, it } from 'vitest';
import { type Postrider, testApiKey } from '../support/postrider.ts';
import { openRawHttp, type RawAnswer } from '../support/raw-http.ts';
import { usePostrider } from '../support/use-postrider.ts';

let postrider: Postrider;
usePostrider((own) => {
  postrider = own;
});

const authorization = `authorization: Bearer ${testApiKey}`;
const email = JSON.stringify({ from: 'a@example.com', to: 'b@example.org', subject: 'Hi', text: 'Hello' });
const length = `content-length: ${email.length}`;

/** A POST of the email with these lines in its head. */
function post(...lines: string[]): string {
  return `POST /v1/emails HTTP/1.1\r\n${['content-type: application/json', ...lines].join('\r\n')}\r\n\r\n`;
}

async function ask(...parts: string[]): Promise<RawAnswer> {
  using http = await openRawHttp(postrider.url);
  for (const part of parts) http.write(part);
  return await http.answer();
}

describe('a head', () => {
  it.each([
    ['no Host', 400, 'unreadable_request', post(authorization, length)],
    ['two of them', 400, 'unreadable_request', post('host: a', 'Host: a', authorization, length)],
    // Not an answer that openapi.yaml has for each route.
    [
      'what is expected in vain',
      417,
      'expectation_failed',
      post('host: a', 'expect: tea', length).replace('/v1', '/v2'),
    ],
    [
      'a body in a coding that we do not undo',
      400,
      'unreadable_request',
      post('host: a', 'transfer-encoding: gzip, chunked', authorization),
    ],
    [
      'two Idempotency-Keys',
      400,
      'invalid_idempotency_key',
      post('host: a', 'idempotency-key: a', 'Idempotency-Key: b', authorization, length),
    ],
  ])('with %s is answered with a problem: %i %s', async (_, status, name, head) => {
    const answer = await ask(head, email);
    expect(answer).toMatchObject({ status, headers: { 'content-type': 'application/json' } });
    expect(JSON.parse(answer.body)).toMatchObject({ name });
  });

  it('of HTTP/1.0 needs no Host, and its Expect means nothing', async () => {
    expect(await ask('GET /livez HTTP/1.0\r\nexpect: 100-continue\r\n\r\n')).toMatchObject({ status: 200 });
  });
});

/** The Resend SDKs for Python, Go, Ruby and Java name JSON, that for PHP sends no Accept, and that for Node takes anything. Those for Python, Go and PHP read an error by the type application/json alone. */
describe('an error', () => {
  const key = { authorization: `Bearer ${testApiKey}` };
  const [json, problem] = ['application/json', 'application/problem+json'] as const;
  it.each([
    ['of a route', 'GET', '/v1/emails/em_00000000000000000000000000', 404, key],
    ['for want of a key', 'POST', '/v1/emails', 401, {}],
    ['of a URL that cannot be read', 'GET', '/v1/emails/%zz', 400, key],
    ['of what is not there', 'GET', '/v1/nothing', 404, key],
    ['of a body', 'POST', '/v1/emails', 422, { ...key, 'content-type': json }],
  ] as const)('%s uses the host name of the request', async (_, method, path, status, headers) => {
    using http = await openRawHttp(postrider.url);
    const bodies = [];
    for (const [accept, type] of [
      [json, json],
      [undefined, json],
      ['*/*', problem],
      [`${json}, ${problem}`, problem],
    ] as const) {
      const asked = accept === undefined ? headers : { ...headers, accept };
      const answer = await http.send(method, path, asked, method === 'POST' ? '{}' : '');
      expect(answer).toMatchObject({ status, headers: { 'content-type': type, vary: 'accept' } });
      bodies.push(answer.body);
    }
    expect(new Set(bodies).size).toBe(1);
  });
});

describe('a body that waits for 100 Continue', () => {
  const waiting = ['host: a', 'expect: 100-continue', length];

  it('is requested only where the body is read', async () => {
    using http = await openRawHttp(postrider.url);
    http.write(post(...waiting, authorization));
    expect(await http.answer()).toMatchObject({ status: 100 });
    http.write(email);
    expect(await http.answer()).toMatchObject({ status: 202 });
  });

  it.each([
    ['without a key', 401, post(...waiting)],
    ['of another type', 415, post(...waiting, authorization).replace('application/json', 'text/plain')],
    ['too large', 413, post(...waiting, authorization).replace(length, 'content-length: 50000000')],
    ['for no route', 404, post(...waiting, authorization).replace('/v1/emails', '/v2')],
  ])('is refused unasked %s, and the connection ends', async (_, status, head) => {
    expect(await ask(head)).toMatchObject({ status, headers: { connection: 'close' } });
  });
});

describe('a connection that is to close', () => {
  it.each([
    ['401', 401, post('host: a', 'connection: close', length)],
    ['a body that cannot be read', 400, post('host: a', 'connection: close', authorization, length)],
    ['an email that is refused', 422, post('host: a', 'connection: close', authorization, length)],
  ])('is said to be after %s', async (_, status, head) => {
    const body = status === 422 ? '{}'.padEnd(email.length) : '{'.padEnd(email.length);
    expect(await ask(head, body)).toMatchObject({ status, headers: { connection: 'close' } });
  });
});
