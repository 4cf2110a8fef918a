/** CPU time of processes, where the system tells it (Linux). */
import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';

/** User and system time of a process in seconds; null where there is no /proc. */
export async function cpuSeconds(pid: number): Promise<number | null> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
  if (stat === null) return null;
  // The name, second, may hold spaces; what follows its bracket is counted from the third field.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [user, system] = [fields[14 - 3], fields[15 - 3]].map(Number);
  return ((user ?? 0) + (system ?? 0)) / ticksPerSecond();
}

let ticks: number | undefined;

function ticksPerSecond(): number {
  ticks ??= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
  return ticks;
}
