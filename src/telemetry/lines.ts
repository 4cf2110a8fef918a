/**
 * Writes lines to a file descriptor, such as the log to stdout: at once, or not at all when that is not possible, as no work may wait for the
 * log.
 */
import { writeSync } from 'node:fs';

export type Lines = {
  write(line: string): void;
};

/** How long a write waits for a slow reader. After one wait in vain the next ones do not wait, until the reader reads again. */
const usualPatienceMs = 1_000;
const lookAgainMs = 5;

type Terms = {
  /** Milliseconds of a clock that never goes back. */
  now(): number;
  /** Called for each line that was not written whole: the disk is full, or the reader is gone or too slow. */
  onDropped(): void;
  readonly patienceMs?: number | undefined;
};

export function openLines(fd: number, { now, onDropped, patienceMs = usualPatienceMs }: Terms): Lines {
  let isStuck = false;
  let isTorn = false;

  return {
    write(line) {
      // After half a line the next one begins with a line break.
      const bytes = Buffer.from(isTorn ? `\n${line}` : line);
      const written = writeBytes(fd, bytes, now, isStuck ? 0 : patienceMs);
      isStuck = written < bytes.length;
      if (written > 0) isTorn = isStuck;
      if (isStuck) onDropped();
    },
  };
}

/** @returns the number of bytes written */
function writeBytes(fd: number, bytes: Buffer, now: () => number, waitMs: number): number {
  const until = now() + waitMs;
  let written = 0;
  while (written < bytes.length) {
    try {
      written += writeSync(fd, bytes, written);
    } catch (error) {
      // Only a full pipe may become free by waiting; no other error does.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || now() >= until) return written;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, lookAgainMs);
    }
  }
  return written;
}
