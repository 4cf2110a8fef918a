/** The server as it is built: a route below /v1 says its scope or there is no server, and the admin key asks no store. */
import { expect, it } from 'vitest';
import { buildServer, type Routes } from '../../src/http/server.ts';
import { apiClient, testApiKey } from '../support/postrider.ts';

function unused(): never {
  throw new Error('not for this test');
}

function build(routes: Routes) {
  return buildServer({
    api: [routes],
    open: [],
    version: '0',
    adminToken: testApiKey,
    apiKeys: { find: unused },
    rateLimits: { take: unused },
    pressure: { overLine: null },
    newRequestId: () => 'rq_1',
    isDraining: () => false,
    isStoreTrouble: () => false,
    onBug: () => {},
    report: () => {},
    now: () => 0,
  });
}

it('a route below /v1 without a scope is an error when the server is built', async () => {
  const routes: Routes = (app) => app.route({ method: 'GET', url: '/things', handler: async () => ({}) });
  await expect(build(routes)).rejects.toThrow(
    "GET /v1/things has no scope: give it config: { scope: 'send' | 'read' | 'manage' }",
  );
});

it('the admin key is let in without a look into the store, with every scope', async () => {
  await using server = await build((app) => {
    for (const scope of ['send', 'read', 'manage'] as const)
      app.route({
        method: 'GET',
        url: `/${scope}`,
        config: { scope, unrestricted: true },
        handler: async (request) => request.apiKey.id,
      });
  });
  const url = await server.listen({ port: 0, host: '127.0.0.1' });
  for (const scope of ['send', 'read', 'manage'])
    expect(await apiClient(url)('GET', `/v1/${scope}`)).toMatchObject({ status: 200, body: 'admin' });
  expect((await apiClient(url, 'pr_x')('GET', '/v1/send')).status).toBe(500);
});
