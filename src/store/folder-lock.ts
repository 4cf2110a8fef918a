/** A lock file: one holder at a time among all processes of a machine. The lock of a process that died is released. */
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

const pollMs = 50;
/** Locks this process holds. Another lock with its pid belongs to a predecessor, because pids recur in containers. */
const held = new Set<string>();

export type LockTerms = {
  /** A lock older than this is free, whatever pid it has. */
  readonly expiresMs: number;
  /** The clock of this machine, as files have their times from it. */
  ownNow(): number;
  /** Makes each lock another one. */
  newUuid(): string;
};

const { signal: never } = new AbortController();

/**
 * Runs `work` while this process holds the lock at `path`.
 * @param cut aborted to give up waiting for it
 */
export async function withLock<T>(path: string, terms: LockTerms, work: () => Promise<T>, cut = never): Promise<T> {
  const own = `${hostname()} ${process.pid} ${terms.newUuid()}`;
  held.add(own);
  try {
    while (!(await tryLock(path, own, terms))) {
      cut.throwIfAborted();
      await sleep(pollMs);
    }
    return await work();
  } finally {
    if ((await contentOf(path)) === own) await rm(path, { force: true });
    held.delete(own);
  }
}

async function tryLock(path: string, own: string, terms: LockTerms): Promise<boolean> {
  const isMade = await make(path, own);
  if (isMade) return true;
  const lock = await contentOf(path);
  if (lock !== null && (isAbandoned(lock) || (await isExpired(path, terms)))) await takeAway(path, lock, terms);
  return false;
}

/** When two processes find the same dead lock, the slower one must not remove the new lock of the faster one. */
async function takeAway(path: string, lock: string, terms: LockTerms): Promise<void> {
  const turn = `${path}.broken`;
  if (!(await make(turn, ''))) {
    if (await isExpired(turn, terms)) await rm(turn, { force: true });
    return;
  }
  try {
    if ((await contentOf(path)) === lock) await rm(path, { force: true });
  } finally {
    await rm(turn, { force: true });
  }
}

/** Of processes elsewhere, for instance in another container on the same volume, only the age of the lock is known. */
function isAbandoned(lock: string): boolean {
  const [host, pid] = lock.split(' ');
  if (host !== hostname() || held.has(lock)) return false;
  return Number(pid) === process.pid || !isAlive(Number(pid));
}

async function make(path: string, content: string): Promise<boolean> {
  try {
    await writeFile(path, content, { flag: 'wx' });
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    // The folder was removed while Postrider runs: no other process can be in it.
    if (code === 'ENOENT') return true;
    throw error;
  }
}

const contentOf = (path: string) => readFile(path, 'utf8').catch(() => null);

async function isExpired(path: string, { expiresMs, ownNow }: LockTerms): Promise<boolean> {
  const made = await stat(path).catch(() => null);
  return made !== null && ownNow() - made.mtimeMs > expiresMs;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
