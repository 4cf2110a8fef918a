/** `health`, which containers ask of themselves: real processes of each role, with Redis there and away. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type Env, startPostrider, testApiKey, testSecretKey } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';

function health(env: Env, ...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['src/cli.ts', 'health', ...args], {
    env: { ...process.env, ...env },
    encoding: 'utf8',
    timeout: 30_000,
  });
  return { status, stdout, stderr };
}

it('an API is asked on its port: it lives also while Redis is away, and then is not ready', async () => {
  await using redis = await openTestRedis();
  await using api = await startPostrider({ REDIS_URL: redis.url, ROLES: 'api', HOST: '0.0.0.0' });
  const env = { HOST: '0.0.0.0', PORT: new URL(api.url).port };
  expect(health(env)).toEqual({ status: 0, stdout: '{"status":"alive"}\n', stderr: '' });
  expect(health(env, 'ready')).toMatchObject({ status: 0, stdout: expect.stringContaining('"ready"') });
  await redis.stop();
  expect(health(env, 'live')).toMatchObject({ status: 0 });
  expect(health(env, 'ready')).toMatchObject({ status: 1, stdout: '', stderr: expect.stringContaining('"not_ready"') });
});

it('a worker without the API answers on HEALTH_PORT, and serves nothing else there', async () => {
  await using redis = await openTestRedis();
  await using opened = new AsyncDisposableStack();
  const dir = await mkdtemp(join(tmpdir(), 'pr-health-'));
  opened.defer(() => rm(dir, { recursive: true }));
  await using worker = await startPostrider({
    REDIS_URL: redis.url,
    ROLES: 'worker',
    HEALTH_PORT: '0',
    DATA_DIR: dir,
    NODE_ENV: 'production',
    POSTRIDER_API_KEY: undefined,
    SMTP_URL: 'smtp://127.0.0.1:9?tls=none',
  });
  const [, address = ''] = await worker.printed(/health is at (\S+)\/readyz/);
  const env = { ROLES: 'worker', HEALTH_PORT: new URL(address).port };
  expect(health(env)).toMatchObject({ status: 0, stdout: '{"status":"alive"}\n' });
  expect(health(env, 'ready')).toMatchObject({ status: 0, stdout: expect.stringContaining('"redis","ok":true') });
  expect((await fetch(`${address}/v1/emails`)).status).toBe(404);
  await redis.stop();
  expect(health(env, 'ready')).toMatchObject({ status: 1, stderr: expect.stringContaining('"redis","ok":false') });
  // A worker keeps nothing of its own: it runs where nothing can be written.
  expect(readdirSync(dir)).toEqual([]);
});

it('it exits with 1 if nothing answers or no port is known, and names a wrong setting', () => {
  const production = { NODE_ENV: 'production', POSTRIDER_API_KEY: testApiKey, SECRET_KEY: testSecretKey };
  const closed = { ...production, ROLES: 'api', PORT: '9', SMTP_URL: 'smtp://127.0.0.1:9?tls=none' };
  expect(health(closed)).toEqual({ status: 1, stdout: '', stderr: 'No answer: connect ECONNREFUSED 127.0.0.1:9\n' });
  expect(health({ ROLES: 'worker', HEALTH_PORT: '' })).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('HEALTH_PORT'),
  });
  expect(health({ PORT: 'x' })).toMatchObject({ status: 78, stderr: expect.stringContaining('PORT: expected') });
});

it.each(['constructor', 'dead'])('%s is nothing to ask for', (what) => {
  expect(health({}, what)).toMatchObject({
    status: 64,
    stderr: expect.stringContaining(`Unknown check: ${what}`),
  });
});

it('ends quietly when nobody reads its output', () => {
  const { stderr } = spawnSync('sh', ['-c', `"${process.execPath}" src/cli.ts openapi | head -c 1`], {
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
});
