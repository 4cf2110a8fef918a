/** Signals that come while the process still loads its code: none kills it that only asks for something. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { main, testApiKey } from '../support/postrider.ts';
import { type Running, startProcess } from '../support/processes.ts';
import { openTestRedis } from '../support/redis.ts';

const loadSlowly = fileURLToPath(new URL('../support/load-slowly.ts', import.meta.url));

async function whileItLoads(signal: 'SIGHUP' | 'SIGTERM', then: (postrider: Running) => Promise<void>): Promise<void> {
  await using opened = new AsyncDisposableStack();
  const redis = opened.use(await openTestRedis());
  const dir = opened.adopt(await mkdtemp(join(tmpdir(), 'pr-signal-')), (path) => rm(path, { recursive: true }));
  const env = { PORT: '0', ROLES: 'api', REDIS_URL: redis.url, POSTRIDER_API_KEY: testApiKey };
  const LOADED_ONCE = join(dir, 'loaded');
  const args = ['--import', loadSlowly, main];
  const postrider = opened.use(startProcess(process.execPath, args, { env: { ...env, DATA_DIR: dir, LOADED_ONCE } }));
  await postrider.printed(/loading/);
  postrider.kill(signal);
  await writeFile(LOADED_ONCE, '');
  await then(postrider);
}

it('SIGHUP leaves the start alone, which reads everything anyway', () =>
  whileItLoads('SIGHUP', async (postrider) => {
    await postrider.printed(/listening on/);
    postrider.kill('SIGTERM');
    expect(await postrider.ended).toBe(0);
  }));

it('SIGTERM gives the start up, with the code of any stop', () =>
  whileItLoads('SIGTERM', async (postrider) => {
    expect(await postrider.ended, postrider.output()).toBe(0);
    expect(postrider.output()).not.toMatch(/listening on/);
  }));
