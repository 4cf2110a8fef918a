/** Whoever copies an example of a request from the document is understood. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Media } from '../../src/http/openapi/document.ts';
import { readOpenApi, resolve } from '../support/openapi.ts';
import { operationsOf } from '../support/openapi-rules.ts';
import { type ApiClient, type Postrider, startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';

const opened = new AsyncDisposableStack();
let postrider: Postrider;
beforeAll(async () => {
  const redis = opened.use(await openTestRedis());
  postrider = opened.use(await startPostrider({ REDIS_URL: redis.url, ROLES: 'api' }));
});
afterAll(() => opened.disposeAsync());

const document = readOpenApi();

/** Every example of the body, from where the document may have one. */
function examplesOf({ schema = {}, example, examples = {} }: Media): [name: string, body: unknown][] {
  const ofSchema = [resolve(document, schema).examples ?? []].flat();
  return [
    ...Object.entries(examples).map(([name, part]): [string, unknown] => [name, resolve(document, part).value]),
    ...[...(example === undefined ? [] : [example]), ...ofSchema].map((body): [string, unknown] => ['example', body]),
  ];
}

const requests = operationsOf(document).flatMap(({ name, method, path, operation: { requestBody } }) =>
  Object.values(requestBody?.content ?? {})
    .flatMap(examplesOf)
    .map(([example, body]) => ({ name: `${name}: ${example}`, method, path, body })),
);

/** Something that is there, for the routes that change it. */
async function create(path: string): Promise<string> {
  const noun = path.split('/{')[0] ?? '';
  const scheduled_at = new Date(Date.now() + 3_600_000).toISOString();
  const bodies: Readonly<Record<string, object>> = {
    '/v1/emails': { from: 'a@example.com', to: 'b@example.com', subject: 's', text: 't', scheduled_at },
    '/v1/webhooks': { endpoint: 'https://a.example/', events: ['email.sent'] },
    '/v1/api-keys': { name: 'k' },
  };
  const created = await postrider.api('POST', noun, bodies[noun]);
  return created.body.id;
}

it.each(requests)('$name', async ({ method, path, body }) => {
  const url = path.includes('{id}') ? path.replace('{id}', await create(path)) : path;
  const { status } = await postrider.api(method.toUpperCase() as Parameters<ApiClient>[0], url, body);
  expect(status).toBeLessThan(300);
});
