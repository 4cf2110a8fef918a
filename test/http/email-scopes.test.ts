/** Which scope each route of emails needs: a key that has the others is refused, and one that has it is let in. */
import { expect, it } from 'vitest';
import { readOpenApi } from '../support/openapi.ts';
import { apiClient, type Postrider } from '../support/postrider.ts';
import { usePostrider } from '../support/use-postrider.ts';

let postrider: Postrider;
usePostrider((own) => {
  postrider = own;
});

const scopes = ['send', 'read', 'manage'] as const;

const routes = [
  ['POST', '/v1/emails', 'send'],
  ['POST', '/v1/emails/batch', 'send'],
  ['PATCH', '/v1/emails/{id}', 'send'],
  ['POST', '/v1/emails/{id}/cancel', 'send'],
  ['POST', '/v1/emails/{id}/retry', 'send'],
  ['GET', '/v1/emails', 'read'],
  ['GET', '/v1/emails/{id}', 'read'],
  ['GET', '/v1/emails/{id}/events', 'read'],
  ['GET', '/v1/emails/{id}/explain', 'read'],
] as const;

const email = { from: 'a@example.com', to: 'b@example.org', subject: 'Hi', text: 'Hello' };
const soon = new Date(Date.now() + 3_600_000).toISOString();

async function makeKey(given: readonly string[]) {
  const { body } = await postrider.api('POST', '/v1/api-keys', { name: given.join(' and '), scopes: given });
  return apiClient(postrider.url, body.token);
}

function bodyFor(method: string, path: string): unknown {
  if (path === '/v1/emails/batch') return [email];
  if (method === 'PATCH') return { scheduled_at: soon };
  return method === 'POST' && path === '/v1/emails' ? email : undefined;
}

it('every route of emails that is documented is in the table, with its scope', () => {
  const documented = Object.entries(readOpenApi().paths).flatMap(([path, operations]) =>
    path.startsWith('/v1/emails')
      ? Object.entries(operations).map(([method, { security }]) => [method.toUpperCase(), path, security])
      : [],
  );
  const expected = routes.map(([method, path, scope]) => [method, path, [{ apiKey: [scope] }]]);
  expect(documented.toSorted()).toEqual(expected.toSorted());
});

it.each(routes)('%s %s needs the scope %s', async (method, path, needed) => {
  const { id } = (await postrider.api('POST', '/v1/emails', { ...email, scheduled_at: soon })).body;
  const url = path.replace('{id}', id);
  const body = bodyFor(method, path);
  const look = async () => JSON.stringify((await postrider.api('GET', '/v1/emails?limit=100')).body);
  const before = await look();
  const others = scopes.filter((scope) => scope !== needed);
  for (const given of [others, ...others.map((scope) => [scope])]) {
    const api = await makeKey(given);
    for (const sent of [body, method === 'GET' ? undefined : { nonsense: 1 }])
      expect(await api(method, url, sent)).toMatchObject({
        status: 403,
        body: {
          name: 'restricted_api_key',
          detail: `This needs a key with the scope ${needed}; this key has ${given.join(', ')}`,
        },
      });
    if (method === 'GET') expect((await api('HEAD', url)).status).toBe(403);
  }
  expect(await look()).toBe(before);
  const { status } = await (await makeKey([needed]))(method, url, body);
  // Nothing failed, so there is nothing to retry.
  expect(status).toBe(path.endsWith('/retry') ? 409 : body === undefined || method === 'PATCH' ? 200 : 202);
});
