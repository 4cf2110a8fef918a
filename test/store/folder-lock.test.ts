/** One holder at a time, whatever those before it left behind. */

import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { newUuid, ownNow } from '../../src/chance.ts';
import { withLock } from '../../src/store/folder-lock.ts';
import { startProcess } from '../support/processes.ts';

const terms = { expiresMs: 60_000, ownNow, newUuid };

let dir: string;
let path: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'pr-lock-'));
  path = join(dir, 'lock');
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const isTaken = () => withLock(path, terms, async () => true);

async function deadPid(): Promise<number> {
  await using ended = startProcess(process.execPath, ['-e', '0']);
  await ended.ended;
  return ended.pid;
}

it('a lock lets one in at a time, also when all of them find the lock of one that died', async () => {
  let inside = 0;
  let most = 0;
  const enter = () =>
    withLock(path, terms, async () => {
      inside += 1;
      most = Math.max(most, inside);
      await writeFile(join(dir, 'work'), 'takes a moment');
      inside -= 1;
    });
  await writeFile(path, `${hostname()} ${await deadPid()} a`);
  await Promise.all(Array.from({ length: 8 }, enter));
  expect(most).toBe(1);
  expect(await readdir(dir)).toEqual(['work']);
});

/** What may be taken away is, in less time than this takes. */
async function otherLock(): Promise<void> {
  const other = join(dir, 'other');
  await writeFile(other, `${hostname()} ${await deadPid()} a`);
  await withLock(other, terms, async () => {});
}

it('a waiting process removes a dead lock only in its turn: the one before may have made its own by then', async () => {
  const lock = `${hostname()} ${await deadPid()} a`;
  await writeFile(path, lock);
  await writeFile(`${path}.broken`, '');
  const taken = isTaken();
  await otherLock();
  expect(await readFile(path, 'utf8')).toBe(lock);
  // Who had the turn died in it.
  await utimes(`${path}.broken`, 0, 0);
  expect(await taken).toBe(true);
});

it('a lock is given back when the work fails', async () => {
  await expect(withLock(path, terms, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(await isTaken()).toBe(true);
});

it('a process takes a lock in its own name for that of a predecessor with the same pid', async () => {
  await writeFile(path, `${hostname()} ${process.pid} of-a-predecessor`);
  expect(await isTaken()).toBe(true);
});

it.each([
  ['of another machine, whose pids say nothing', async () => `elsewhere ${await deadPid()} a`],
  ['of one that lives', async () => `${hostname()} ${process.ppid} a`],
  ['that says nothing yet', async () => ''],
])('leaves a lock %s until it is too old', async (_, content) => {
  const lock = await content();
  await writeFile(path, lock);
  const taken = isTaken();
  await otherLock();
  expect(await readFile(path, 'utf8')).toBe(lock);
  await utimes(path, 0, 0);
  expect(await taken).toBe(true);
});
