/** The name of a worker in the fleet. It says where the process ran, so that a worker that starts there can see which others died. */
import { readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/** @param unique differs between processes with the same pid */
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
  // A container that restarts gives its new process, which is us, the same pid again.
  if (pid === process.pid) return true;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

/** Containers may share a host name without seeing each other's processes: a pid is valid only in its namespace. */
function machine(): string {
  return `${hostname()}:${pidNamespace()}`;
}

function pidNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid').replace(/\D/g, '');
  } catch {
    return ''; // only Linux has pid namespaces
  }
}
