/** The server as it is built: a route below /v1 says its scope or there is no server, the admin key asks no store, and a client that goes away is no bug of ours. */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Readable } from 'node:stream';
import { expect, it } from 'vitest';
import type { Routes } from '../../src/http/server.ts';
import { buildTestServer } from '../support/http-server.ts';
import { apiClient, testApiKey } from '../support/postrider.ts';
import { until } from '../support/until.ts';

it('a route below /v1 without a scope is an error when the server is built', async () => {
  const routes: Routes = (app) => app.route({ method: 'GET', url: '/things', handler: async () => ({}) });
  await expect(buildTestServer({ api: [routes] })).rejects.toThrow(
    "GET /v1/things has no scope: give it config: { scope: 'send' | 'read' | 'manage' }",
  );
});

it('the admin key is let in without a look into the store, with every scope', async () => {
  const routes: Routes = (app) => {
    for (const scope of ['send', 'read', 'manage'] as const)
      app.route({
        method: 'GET',
        url: `/${scope}`,
        config: { scope, unrestricted: true },
        handler: async (request) => request.apiKey.id,
      });
  };
  await using server = await buildTestServer({ api: [routes] });
  const url = await server.listen({ port: 0, host: '127.0.0.1' });
  for (const scope of ['send', 'read', 'manage'])
    expect(await apiClient(url)('GET', `/v1/${scope}`)).toMatchObject({ status: 200, body: 'admin' });
  expect((await apiClient(url, 'pr_x')('GET', '/v1/send')).status).toBe(500);
});

it.each([
  ['read whole', 'application/json', '/whole'],
  ['of records', 'application/x-ndjson', '/records'],
])('a body %s whose client goes away is reported once, and not as a bug', async (_, type, path) => {
  const told: unknown[] = [];
  let begun = 0;
  const routes: Routes = (app) => {
    app.addHook('preParsing', async () => {
      begun += 1;
    });
    app.route({ method: 'POST', url: '/whole', config: { scope: 'send' }, handler: async () => ({}) });
    app.route({
      method: 'POST',
      url: '/records',
      config: { scope: 'send', takesRecords: ['application/x-ndjson'] },
      handler: async ({ body }) => {
        for await (const _part of body as Readable);
        return {};
      },
    });
  };
  await using server = await buildTestServer({
    api: [routes],
    onBug: (error) => void told.push(error),
    report: ({ route, status, refusal }) => void told.push({ route, status, refusal }),
  });
  const url = new URL(await server.listen({ port: 0, host: '127.0.0.1' }));
  const socket = connect(Number(url.port), url.hostname);
  const lines = ['host: a', `authorization: Bearer ${testApiKey}`, `content-type: ${type}`, 'content-length: 9'];
  socket.write(`POST /v1${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n{`);
  await until('the request', () => begun === 1);
  socket.destroy();
  await once(socket, 'close');
  await until('it to be told', () => told.length > 0);
  // Whoever is asked now comes after whatever follows of it.
  expect((await apiClient(url.origin)('GET', '/v1/whole')).status).toBe(405);
  expect(told).toEqual([
    { route: `/v1${path}`, status: 400, refusal: 'unreadable_request' },
    { route: '/v1/whole', status: 405, refusal: 'method_not_allowed' },
  ]);
});
