/** A data folder that cannot be used ends the start with one line that names DATA_DIR, the path at fault and what to do. */
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { startProcess } from '../support/processes.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'pr-data-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

it.each<[what: string, prepare: (path: string) => Promise<unknown>, dataDir: string, fault: string]>([
  ['is a file', (path) => writeFile(path, ''), '', 'DIR is there and is not a folder'],
  ['is below a file', (path) => writeFile(path, ''), '/below/it', 'DIR/below/it lies below a file'],
  ['is a link to itself', (path) => symlink(path, path), '', 'DIR is there and is not a folder'],
  ['has a folder for a key', (path) => mkdir(`${path}/api-key`, { recursive: true }), '', 'DIR/api-key is a folder'],
  [
    'has a file for Redis’ folder',
    (path) => mkdir(path).then(() => writeFile(`${path}/redis`, '')),
    '',
    'DIR/redis is there',
  ],
  ['is where no folder can be', async () => {}, '/proc/nothing/here', '/proc/nothing '],
])('that %s', async (_, prepare, dataDir, fault) => {
  const path = join(dir, 'data');
  await prepare(path);
  const given = dataDir.startsWith('/proc') ? dataDir : `${path}${dataDir}`;
  const env = { DATA_DIR: given, PORT: '0', REDIS_URL: undefined, POSTRIDER_API_KEY: undefined, SECRET_KEY: undefined };
  await using postrider = startProcess(process.execPath, [main], { env });
  expect(await postrider.ended).toBe(1);
  expect(postrider.output().split('\n')).toHaveLength(2);
  expect(postrider.output()).toContain(`Postrider could not start: DATA_DIR (${given}) cannot be used: `);
  expect(postrider.output()).toContain(`: ${fault.replace('DIR', path)}`);
  expect(postrider.output()).toContain('. Set DATA_DIR to a folder this user may read and write.\n');
});
