/** A worker's name in the fleet. It tells where the process ran, so that whoever starts there can see which workers died. */
import { readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/** @param unique tells processes apart that had the same pid */
export function workerName(unique: string): string {
  return `${machine()}/${process.pid}/${unique}`;
}

/**
 * Whether a worker ran on this machine and its process is gone. False when it may be alive: it ran elsewhere, or its pid is another
 * process's by now.
 */
export function hasDiedHere(name: string): boolean {
  const [place, pid] = [name.slice(0, name.indexOf('/')), Number(name.split('/')[1])];
  if (place !== machine() || !Number.isInteger(pid) || pid <= 0) return false;
  // A container that starts anew gives the same pid again, to us.
  if (pid === process.pid) return true;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

/** Containers may share a host's name without seeing each other's processes: a pid means something in its namespace only. */
function machine(): string {
  return `${hostname()}:${pidNamespace()}`;
}

function pidNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid').replace(/\D/g, '');
  } catch {
    return ''; // not Linux, which alone has them
  }
}
