/** Whoever copies an example of a request from the document is understood. */
import { expect, it } from 'vitest';
import type { Media } from '../../src/http/openapi/document.ts';
import { readOpenApi, resolve } from '../support/openapi.ts';
import { operationsOf } from '../support/openapi-rules.ts';
import type { ApiClient, Postrider } from '../support/postrider.ts';
import { usePostrider } from '../support/use-postrider.ts';

let postrider: Postrider;
usePostrider((own) => {
  postrider = own;
});

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
  Object.entries(requestBody?.content ?? {}).flatMap(([type, media]) =>
    examplesOf(media).map(([example, body]) => ({ name: `${name}: ${example}`, method, path, body, type })),
  ),
);

const template = {
  name: 'k',
  subject: '{{ name }}, {{ order.number }}',
  html: '{% for item in order.items %}{{ item.name }}{% endfor %}',
  from: 'a@example.com',
};

/** What is there for the routes that change it, by the noun of their path. */
const things: Readonly<Record<string, () => object>> = {
  emails: () => {
    const scheduled_at = new Date(Date.now() + 3_600_000).toISOString();
    return { from: 'a@example.com', to: 'b@example.com', subject: 's', text: 't', scheduled_at };
  },
  webhooks: () => ({ endpoint: 'https://a.example/', events: ['email.sent'] }),
  'api-keys': () => ({ name: 'k' }),
  templates: () => template,
  campaigns: () => ({ from: 'a@example.com', subject: 's', text: 't' }),
};

async function create(path: string): Promise<string> {
  const collection = path.split('/{')[0] ?? '';
  const { id } = (await postrider.api('POST', collection, things[collection.slice('/v1/'.length)]?.())).body;
  // Nothing is sent to nobody.
  if (collection === '/v1/campaigns')
    await postrider.api('POST', `${collection}/${id}/recipients`, [{ email: 'b@example.com' }]);
  return id;
}

/** The template that an email is made of, under the name it is called by. */
async function openTemplate(body: unknown): Promise<AsyncDisposable> {
  const alias = (body as { readonly template?: { readonly id: string } }).template?.id;
  const created = alias === undefined ? null : await postrider.api('POST', '/v1/templates', { ...template, alias });
  return {
    [Symbol.asyncDispose]: async () => {
      if (created !== null) await postrider.api('DELETE', `/v1/templates/${created.body.id}`);
    },
  };
}

it.each(requests)('$name', async ({ method, path, body, type }) => {
  await using _ = await openTemplate(body);
  const url = path.includes('{id}') ? path.replace('{id}', await create(path)) : path;
  const { status } = await postrider.api(method.toUpperCase() as Parameters<ApiClient>[0], url, body, {
    'content-type': type,
  });
  expect(status).toBeLessThan(300);
});
