/** The image as it is built: what is in it, and that it runs with nothing to write to, as nobody, without a capability. */
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import packageJson from '../package.json' with { type: 'json' };
import { canBuild, openImage, withoutBuildah } from './support/image.ts';
import { apiClient, testApiKey, testSecretKey } from './support/postrider.ts';
import { startProcess } from './support/processes.ts';
import { redisProgram } from './support/redis.ts';
import { until } from './support/until.ts';

it('is built, runs both roles and delivers', { timeout: 600_000 }, async ({ skip }) => {
  skip(!canBuild, withoutBuildah);
  const REVISION = 'c0ffee';
  const CREATED = '2026-01-01T00:00:00Z';
  await using image = await openImage({ REVISION, CREATED });

  const label = (name: string) => image.config.Labels[`org.opencontainers.image.${name}`];
  expect([label('revision'), label('created')]).toEqual([REVISION, CREATED]);
  const { version, license, description } = packageJson;
  expect([label('version'), label('licenses')]).toEqual([version, license]);
  expect([label('title'), label('description')]).toEqual(['Postrider', description]);
  const { Healthcheck } = image.config;
  expect(Healthcheck.Test).toEqual(['CMD', 'node', 'src/cli.ts', 'health']);
  expect(Healthcheck.Interval).toBeLessThanOrEqual(60e9);
  expect(Healthcheck.Timeout).toBeLessThan(Healthcheck.Interval);
  const home = join(image.files, 'srv/postrider');
  expect((await readdir(home)).toSorted()).toEqual([
    '.compiled',
    'LICENSE',
    'node_modules',
    'package-lock.json',
    'package.json',
    'src',
  ]);
  const installed = await readdir(join(home, 'node_modules'));
  expect(installed).toEqual(expect.arrayContaining(['fastify', 'bullmq', 'nodemailer']));
  const lock: { packages: Record<string, { dev?: boolean }> } = JSON.parse(await readFile('package-lock.json', 'utf8'));
  expect(installed.filter((name) => lock.packages[`node_modules/${name}`]?.dev)).toEqual([]);

  const volume = await mkdtemp(join(tmpdir(), 'pr-image-'));
  await chmod(volume, 0o755);
  const socket = ['--port', '0', '--unixsocket', join(volume, 'redis.sock'), '--unixsocketperm', '777', '--save', ''];
  await using redis = startProcess(redisProgram(), socket);
  await redis.printed(/ready to accept connections/i);
  const shared = {
    HOST: '127.0.0.1',
    REDIS_URL: 'unix:///tmp/volume/redis.sock',
    SECRET_KEY: testSecretKey,
    SMTP_URL: 'smtp://127.0.0.1:9?tls=none',
  };
  await using api = image.run({ ...shared, ROLES: 'api', PORT: '0', POSTRIDER_API_KEY: testApiKey }, volume);
  await using worker = image.run({ ...shared, ROLES: 'worker', HEALTH_PORT: '0' }, volume);
  const [, url = ''] = await api.printed(/listening on ([^\s"]+)/);
  const [, health = ''] = await worker.printed(/health is at (\S+)\/readyz/);

  const send = apiClient(url);
  const { id } = (await send('POST', '/v1/emails', email)).body;
  await until('the email to be delivered', async () => {
    const { recipients } = (await send('GET', `/v1/emails/${id}`)).body;
    return recipients[0]?.status === 'delivered';
  });

  const asked = image.config.Healthcheck.Test.slice(1);
  expect(worker.exec(asked, { HEALTH_PORT: new URL(health).port })).toEqual({
    status: 0,
    printed: '{"status":"alive"}\n',
  });
  const start = worker.exec(['node', 'src/cli.ts', 'settings'], { NODE_DEBUG_NATIVE: 'COMPILE_CACHE' }).printed;
  expect(start.match(/code cache .* was accepted/g)?.length).toBeGreaterThan(100);
  expect(start).not.toMatch(/no such file|permission denied/);
  expect(worker.exec(['find', '.compiled', '-writable']).printed).not.toContain('.compiled');
  expect(worker.exec(['touch', 'src/new', '/new']).printed.match(/Read-only file system/g)).toHaveLength(2);
  expect(worker.exec(['ls', '-A', '/tmp']).printed).toBe('volume\n');
  for (const container of [api, worker]) {
    const first = container.first();
    expect(await readFile(`/proc/${first}/cmdline`, 'utf8')).toBe('tini\0--\0node\0src/main.ts\0');
    const status = await readFile(`/proc/${first}/status`, 'utf8');
    expect(status).toMatch(/^Uid:\t10001\t/m);
    expect(status).toMatch(/^CapEff:\t0+$/m);
    process.kill(first, 'SIGTERM');
    expect(await container.ended).toBe(0);
  }
  await rm(volume, { recursive: true });
});

const email = { from: 'a@example.com', to: 'delivered@sandbox.invalid', subject: 'Hi', text: 'Hello' };
