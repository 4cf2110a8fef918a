/** Lines to a descriptor that takes none, or too few at a time: dropped and counted, and none of them waited for without end. */

import { execFileSync } from 'node:child_process';
import { closeSync, constants, existsSync, openSync, readSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { monotonicNow } from '../../src/chance.ts';
import { openLines } from '../../src/telemetry/lines.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'pr-lines-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

function openDescriptor(path: string, flags: number | string) {
  const fd = openSync(path, flags);
  return { fd, [Symbol.dispose]: () => closeSync(fd) };
}

/** Both ends of a pipe of which neither waits. */
function openPipe() {
  const path = join(dir, 'pipe');
  execFileSync('mkfifo', [path]);
  const out = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  return { out, into: openSync(path, constants.O_WRONLY | constants.O_NONBLOCK) };
}

/** What stands in the pipe, all of it. */
function drain(fd: number): string {
  const bytes = Buffer.alloc(1_024 * 1_024);
  return bytes.toString('utf8', 0, readSync(fd, bytes));
}

function counted(fd: number, patienceMs?: number) {
  const seen = { dropped: 0 };
  const lines = openLines(fd, { now: monotonicNow, onDropped: () => seen.dropped++, patienceMs });
  return Object.assign(seen, lines);
}

it('lines to a file are written in full', async () => {
  const path = join(dir, 'log');
  using file = openDescriptor(path, 'a');
  const lines = counted(file.fd);
  for (const line of ['one\n', 'zwölf\n']) lines.write(line);
  expect([await readFile(path, 'utf8'), lines.dropped]).toEqual(['one\nzwölf\n', 0]);
});

it.runIf(existsSync('/dev/full'))('to a full disk each is dropped and counted', () => {
  using full = openDescriptor('/dev/full', 'w');
  const lines = counted(full.fd);
  for (let i = 0; i < 3; i++) lines.write('a line\n');
  expect(lines.dropped).toBe(3);
});

it('each line to a pipe without a reader is dropped and counted', () => {
  const { out, into } = openPipe();
  closeSync(out);
  const lines = counted(into);
  for (let i = 0; i < 3; i++) lines.write('a line\n');
  closeSync(into);
  expect(lines.dropped).toBe(3);
});

it('the first line to a full pipe waits and the next ones do not; what is written later begins a line of its own', () => {
  const { out, into } = openPipe();
  const lines = counted(into, 50);
  const long = `${'x'.repeat(300_000)}\n`;
  lines.write(long);
  for (let i = 0; i < 10; i++) lines.write(long);
  expect(lines.dropped).toBe(11);
  const torn = drain(out);
  expect(torn).toMatch(/^x+$/);
  lines.write('whole\n');
  lines.write('and whole\n');
  expect(drain(out)).toBe('\nwhole\nand whole\n');
  expect(lines.dropped).toBe(11);
  for (const fd of [out, into]) closeSync(fd);
});
