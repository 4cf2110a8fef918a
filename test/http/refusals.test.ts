/** What no route takes is refused as a problem, wherever it is asked for: in the API, on open pages, in the documents, in the dev inbox. */
import { expect, it } from 'vitest';
import { problemMedia } from '../../src/http/problem-media.ts';
import { type Postrider, testApiKey } from '../support/postrider.ts';
import { openRawHttp } from '../support/raw-http.ts';
import { usePostrider } from '../support/use-postrider.ts';

let postrider: Postrider;
usePostrider((own) => {
  postrider = own;
});

async function refusalOf(method: string, path: string, headers: Record<string, string> = {}, body = '') {
  using http = await openRawHttp(postrider.url);
  const given = { accept: '*/*', authorization: `Bearer ${testApiKey}`, ...headers };
  const answer = await http.send(method, path, given, body);
  // Where the head could not be read, nobody knows what the caller accepts.
  expect(problemMedia).toContain(answer.headers['content-type']);
  expect(answer.body).not.toMatch(/node_modules|\.ts:|\n\s+at /);
  const problem: unknown = JSON.parse(answer.body);
  expect(problem).toMatchObject({ status: answer.status });
  return { ...answer, problem };
}

const paths = [
  ['/livez', 'GET, HEAD'],
  ['/readyz', 'GET, HEAD'],
  ['/metrics', 'GET, HEAD'],
  ['/u/token', 'GET, HEAD, POST'],
  ['/docs', 'GET, HEAD'],
  ['/docs/', 'GET, HEAD'],
  ['/docs/yaml', 'GET, HEAD'],
  ['/docs/static/swagger-ui.css', 'GET, HEAD'],
  ['/dev/inbox', 'GET, HEAD'],
  ['/dev/inbox.json', 'GET, HEAD, DELETE'],
  ['/dev/inbox/mi_1/raw', 'GET, HEAD'],
  ['/v1/emails', 'GET, HEAD, POST'],
  ['/v1/emails/em_1', 'GET, HEAD, PATCH'],
] as const;

it.each(paths)('every other method of %s gets a 405 that allows %s', async (path, allow) => {
  for (const method of ['PUT', 'OPTIONS', 'TRACE', 'QUERY', ...(allow.includes('POST') ? [] : ['POST'])])
    expect(await refusalOf(method, path)).toMatchObject({
      ...{ status: 405, headers: { allow } },
      problem: { name: 'method_not_allowed' },
    });
});

const places = ['/', '/u/', '/docs/static/', '/dev/inbox/', '/v1/', '/v1/emails/'];

it.each(places)('a URL below %s that cannot be read is refused by itself', async (place) => {
  for (const end of ['%zz', '%', '%c3%28', 'a%2'])
    expect(await refusalOf('GET', place + end)).toMatchObject({ status: 400, problem: { name: 'unreadable_request' } });
});

it.each(places)('a URL below %s that is too long is refused', async (place) => {
  expect(await refusalOf('GET', place + 'x'.repeat(20_000))).toMatchObject({
    ...{ status: 400, problem: { name: 'unreadable_request' } },
  });
});

it.each(['/', '/nothing', '/LIVEZ', '/livez/x', '/u', '/docs/nothing', '/v1', '/v1/', '/v1/nothing', '*'])(
  'there is nothing at %s, whatever it is asked with',
  async (path) => {
    for (const method of ['GET', 'POST', 'OPTIONS', 'DELETE', 'TRACE', 'PROPFIND'])
      expect(await refusalOf(method, path, { 'content-type': 'text/plain' }, 'x')).toMatchObject({
        ...{ status: 404, problem: { name: 'not_found' } },
      });
    const head = await fetch(new URL('/nothing', postrider.url), { method: 'HEAD' });
    expect([head.status, head.headers.get('content-type')]).toEqual([404, 'application/problem+json']);
  },
);

it.each([
  ['POST', '/v1/emails', '{"from":"a@example.com","to":"b@example.org","subject":"s","text":"t"}'],
  ['POST', '/v1/emails/batch', '[{"from":"a@example.com","to":"b@example.org","subject":"s","text":"t"}]'],
  ['GET', '/v1/emails/em_1', ''],
  ['POST', '/v1/emails/em_1/cancel', ''],
  ['DELETE', '/v1/webhooks/wh_1', ''],
])('a parameter that %s %s does not know is refused by name, and nothing is done', async (method, path, body) => {
  expect(await refusalOf(method, `${path}?dry_run=true`, { 'content-type': 'application/json' }, body)).toMatchObject({
    ...{ status: 422, problem: { errors: [{ pointer: '#/query/dry_run', code: 'unknown_field' }] } },
  });
  expect((await postrider.api('GET', '/v1/emails')).body).toMatchObject({ data: [] });
});

it('nothing of all this was a bug', async () => {
  expect((await postrider.api('GET', '/livez')).status).toBe(200);
  expect(postrider.output()).not.toContain('"bug"');
});
