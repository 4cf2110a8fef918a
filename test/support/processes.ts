/** Real processes for tests, each ended by its pid; one that is left over fails its test file. */
import { type ChildProcess, spawn } from 'node:child_process';

export type Running = AsyncDisposable & {
  readonly pid: number;
  /** Everything it has printed so far. */
  output(): string;
  /** Waits until what it printed matches. Fails with the whole output when it ends first. */
  printed(pattern: RegExp): Promise<RegExpExecArray>;
  /** Resolves with the exit code, or the signal's name. */
  readonly ended: Promise<number | string>;
  kill(signal: 'SIGTERM' | 'SIGINT' | 'SIGHUP' | 'SIGUSR2' | 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void;
};

const running = new Map<number, string>();

export function stillOpen(): string[] {
  return [...running.values()];
}

export function startProcess(
  command: string,
  args: readonly string[],
  options: { env?: Record<string, string | undefined>; cwd?: string } = {},
): Running {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const { pid } = child;
  if (pid === undefined) throw new Error(`${command} could not be started`);
  running.set(pid, `${command} ${args.join(' ')} (pid ${pid})`);
  let text = '';
  const watchers = new Set<() => void>();
  const take = (chunk: Buffer) => {
    text += chunk.toString();
    for (const look of watchers) look();
  };
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  const ended = endOf(child).finally(() => running.delete(pid));

  function printed(pattern: RegExp): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const match = pattern.exec(text);
        if (match === null) return;
        watchers.delete(look);
        resolve(match);
      };
      watchers.add(look);
      look();
      ended.then((code) => reject(new Error(`${command} ended with ${code} before it printed ${pattern}:\n${text}`)));
    });
  }

  return {
    pid,
    output: () => text,
    printed,
    ended,
    kill: (signal) => void child.kill(signal),
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await ended;
    },
  };
}

function endOf(child: ChildProcess): Promise<number | string> {
  return new Promise((resolve) => child.once('close', (code, signal) => resolve(code ?? signal ?? 'unknown')));
}
