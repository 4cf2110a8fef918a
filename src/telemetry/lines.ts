/** Lines to a file descriptor, as those of the log to stdout: written at once, and dropped where that cannot be, as nothing waits for a log. */
import { writeSync } from 'node:fs';

export type Lines = {
  write(line: string): void;
};

/** How long one that reads slowly is waited for; once that was in vain, no more until it reads again. */
const usualPatienceMs = 1_000;
const lookAgainMs = 5;

/** @param onDropped told of each line that was not written whole: the disk is full, nobody reads, or too slowly */
export function openLines(fd: number, onDropped: () => void, patienceMs = usualPatienceMs): Lines {
  let isStuck = false;
  let isTorn = false;

  return {
    write(line) {
      // What follows half a line begins its own.
      const bytes = Buffer.from(isTorn ? `\n${line}` : line);
      const written = writeBytes(fd, bytes, isStuck ? 0 : patienceMs);
      isStuck = written < bytes.length;
      if (written > 0) isTorn = isStuck;
      if (isStuck) onDropped();
    },
  };
}

/** @returns how many were written */
function writeBytes(fd: number, bytes: Buffer, waitMs: number): number {
  const until = performance.now() + waitMs;
  let written = 0;
  while (written < bytes.length) {
    try {
      written += writeSync(fd, bytes, written);
    } catch (error) {
      // A pipe that is full; whatever else it is does not pass by waiting.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || performance.now() >= until) return written;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, lookAgainMs);
    }
  }
  return written;
}
