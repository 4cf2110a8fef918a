/** A start that cannot be, or not yet, says why. */
import { createServer } from 'node:net';
import { expect, it } from 'vitest';
import { main, testKeys } from '../support/postrider.ts';
import { startProcess } from '../support/processes.ts';
import { openTestRedis } from '../support/redis.ts';

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

it('says what is allowed and unwise in its settings', async () => {
  await using redis = await openTestRedis();
  const given = { REDIS_URL: redis.url, POSTRIDER_API_KEY: testApiKey, ROLES: 'api', PORT: '0' };
  const env = { ...given, RETENTION_EVENTS: '1h', WEBHOOK_SCHEDULE: '2h' };
  await using postrider = startProcess(process.execPath, [main], { env });
  await postrider.printed(/^RETENTION_EVENTS is shorter than WEBHOOK_SCHEDULE lasts/m);
});

it('while Redis loads its data it waits, and says so', async () => {
  await using server = await openTestRedis();
  // Half a minute of it.
  await server.restartLoading(30_000);
  const env = { ...testKeys, REDIS_URL: server.url, ROLES: 'api', PORT: '0' };
  await using postrider = startProcess(process.execPath, [main], { env });
  await postrider.printed(/Redis loads its data, or does not answer yet: the start waits for it/);
  await server.tell((client) => client.config('SET', 'key-load-delay', '0'));
  await postrider.printed(/listening on/);
});
