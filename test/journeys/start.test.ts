/** A start that cannot be, or not yet, says why. */
import { createServer } from 'node:net';
import { expect, it } from 'vitest';
import { apiClient, main, testApiKey, testKeys } from '../support/postrider.ts';
import { startProcess } from '../support/processes.ts';
import { openTestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

it.each([
  ['api,worker', 'PORT'],
  ['worker', 'HEALTH_PORT'],
])('with the roles %s and a port that is taken, %s is named', async (ROLES, setting) => {
  await using redis = await openTestRedis();
  await using opened = new AsyncDisposableStack();
  const taken = opened.adopt(createServer().listen(0, '127.0.0.1'), (server) => void server.close());
  await new Promise((listening) => taken.once('listening', listening));
  const { port } = taken.address() as { port: number };
  const given = { ...testKeys, REDIS_URL: redis.url, SMTP_URL: 'smtp://127.0.0.1:9?tls=none' };
  const env = { ...given, PORT: '0', ROLES, [setting]: String(port) };
  await using postrider = startProcess(process.execPath, [main], { env });
  expect(await postrider.ended).toBe(1);
  expect(postrider.output()).toMatch(
    new RegExp(`EADDRINUSE.*${port}\\. Set ${setting} to another one, or to 0 for any`),
  );
});

it.each([
  ['api', '10.0.0.0.1'],
  ['worker', '10.0.0.0.1'],
  // An address for documentation (RFC 5737), which no machine has.
  ['api', '192.0.2.1'],
])('with the role %s and a HOST that this machine does not have, the fault names HOST: %s', async (ROLES, HOST) => {
  await using redis = await openTestRedis();
  const given = { ...testKeys, REDIS_URL: redis.url, SMTP_URL: 'smtp://127.0.0.1:9?tls=none' };
  const env = { ...given, PORT: '0', HEALTH_PORT: '0', ROLES, HOST };
  await using postrider = startProcess(process.execPath, [main], { env });
  expect(await postrider.ended, postrider.output()).toBe(78);
  expect(postrider.output()).toMatch(/could not start: .*\. Set HOST to an address of this machine/);
});

it('says what is allowed and unwise in its settings', async () => {
  await using redis = await openTestRedis();
  const given = { REDIS_URL: redis.url, POSTRIDER_API_KEY: testApiKey, ROLES: 'api', PORT: '0' };
  const env = { ...given, RETENTION_EVENTS: '1h', WEBHOOK_SCHEDULE: '2h' };
  await using postrider = startProcess(process.execPath, [main], { env });
  await postrider.printed(/^RETENTION_EVENTS is shorter than WEBHOOK_SCHEDULE lasts/m);
});

it('while Redis loads its data a start waits, says so, and answers on the port of the API that it is alive and not ready', async () => {
  await using server = await openTestRedis();
  // Half a minute of it.
  await server.restartLoading(30_000);
  const env = { ...testKeys, REDIS_URL: server.url, ROLES: 'api', PORT: '0' };
  await using postrider = startProcess(process.execPath, [main], { env });
  const [, url = ''] = await postrider.printed(
    /"answers_at":"([^"]+)","msg":"Redis loads its data, or does not answer yet: the start waits for it/,
  );
  const api = apiClient(url);
  expect(await api('GET', '/livez')).toMatchObject({ status: 200, body: { status: 'alive' } });
  const { status, body } = await api('GET', '/readyz');
  expect([status, body.checks.map(({ name, ok }) => [name, ok])]).toEqual([
    503,
    [
      ['redis', false],
      ['accepting', false],
    ],
  ]);
  expect(await (await fetch(`${url}/metrics`)).text()).toMatch(/^postrider_redis_up 0$/m);
  const email = { from: 'a@example.com', to: 'b@example.org', subject: 'Hi', text: 'Hello' };
  expect(await api('POST', '/v1/emails', email)).toMatchObject({
    status: 503,
    headers: { 'retry-after': '2', connection: 'close', 'content-type': 'application/problem+json' },
    body: { name: 'service_unavailable' },
  });
  const asked = await api('POST', '/v1/emails', email, { accept: 'application/json' });
  expect(asked.headers).toMatchObject({ 'content-type': 'application/json', vary: 'accept' });
  await server.tell((client) => client.config('SET', 'key-load-delay', '0'));
  await postrider.printed(/listening on/);
});

const production = { ...testKeys, NODE_ENV: 'production', PORT: '0', SMTP_URL: 'smtp://127.0.0.1:9?tls=none' };
const absent = /Redis cannot be reached: the start waits for it/;

it.each(['api', 'worker'])(
  'in production the role %s waits for a Redis that is not there yet, and then begins',
  async (ROLES) => {
    await using redis = await openTestRedis();
    await redis.stop();
    const env = { ...production, ROLES, HEALTH_PORT: '0', REDIS_URL: redis.url };
    await using postrider = startProcess(process.execPath, [main], { env });
    await postrider.printed(absent);
    const [, early = ''] = await postrider.printed(/"error":"Redis at unix:.*ECONNREFUSED.*"answers_at":"([^"]+)"/);
    expect((await fetch(`${early}/livez`)).status).toBe(200);
    await redis.start();
    const [, url = ''] = await postrider.printed(/(?:listening on|health is at) (http:[\d./:]+\d)/);
    await until('it to be ready', async () => (await fetch(`${url}/readyz`)).ok, postrider.output);
    postrider.kill('SIGTERM');
    expect(await postrider.ended, postrider.output()).toBe(0);
  },
);

it('a stop ends a start that waits for a Redis that never comes, also one that found its port taken', async () => {
  await using opened = new AsyncDisposableStack();
  const taken = opened.adopt(createServer().listen(0, '127.0.0.1'), (server) => void server.close());
  await new Promise((listening) => taken.once('listening', listening));
  const { port } = taken.address() as { port: number };
  const env = { ...production, PORT: String(port), ROLES: 'api', REDIS_URL: 'redis://127.0.0.1:1' };
  await using postrider = startProcess(process.execPath, [main], { env });
  await postrider.printed(absent);
  postrider.kill('SIGTERM');
  expect(await postrider.ended, postrider.output()).toBe(0);
});

it('a fault that does not pass by itself ends a start also in production; in development a missing Redis does too', async () => {
  await using redis = await openTestRedis({ requirepass: 'right' });
  const env = { ...production, ROLES: 'api', REDIS_URL: redis.url.replace('unix://', 'unix://:wrong-one@localhost') };
  await using wrong = startProcess(process.execPath, [main], { env });
  expect(await wrong.ended).toBe(1);
  expect(wrong.output()).toMatch(/could not start: Redis at .* cannot be reached: WRONGPASS/);
  const local = { POSTRIDER_API_KEY: testApiKey, ROLES: 'api', PORT: '0', REDIS_URL: 'redis://127.0.0.1:1' };
  await using none = startProcess(process.execPath, [main], { env: local });
  expect(await none.ended).toBe(1);
  expect(none.output()).toMatch(/could not start: Redis at .* cannot be reached: connect ECONNREFUSED/);
});
