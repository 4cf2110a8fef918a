/** Processes the benchmark starts, each ended by its pid, whatever way the benchmark itself ends. */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { deadlineMs } from './counts.ts';

export type Running = AsyncDisposable & {
  readonly pid: number;
  /** The last of what it has printed. */
  output(): string;
  /** Waits until what it printed matches. */
  printed(pattern: RegExp): Promise<RegExpExecArray>;
};

export type Part<Request, Answer> = AsyncDisposable & {
  readonly pid: number;
  /** One request at a time. */
  ask(request: Request): Promise<Answer>;
};

/** What a part sends back. */
type Reply<Answer> = { readonly answer: Answer } | { readonly error: string };

const endDeadlineMs = 10_000;
const running = new Set<ChildProcess>();

/** A program of its own, with nothing of our environment but PATH and what is given. */
export function startProcess(
  program: string,
  args: readonly string[],
  options: { cwd: string; env: Readonly<Record<string, string>> },
): Running {
  const env = { PATH: process.env.PATH ?? '', ...options.env };
  const child = spawn(program, args, {
    cwd: options.cwd,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const pid = track(child, program);
  let output = '';
  const take = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-20_000);
  };
  child.stdout.on('data', take);
  child.stderr.on('data', take);

  return {
    pid,
    output: () => output,
    printed(pattern) {
      return until(`${program} to print ${pattern}`, async () => {
        if (hasEnded(child)) throw new Error(`${program} ${args.join(' ')} ended early:\n${output}`);
        return pattern.exec(output);
      });
    },
    async [Symbol.asyncDispose]() {
      if (!(await end(child))) throw new Error(`${program} ${args.join(' ')} did not stop when asked:\n${output}`);
    },
  };
}

/** A part of the benchmark in a process of its own: `file` beside this one, which calls `answerRequests`. */
export function startPart<Request, Answer>(file: string): Part<Request, Answer> {
  const child = fork(new URL(file, import.meta.url), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const pid = track(child, file);

  return {
    pid,
    ask(request) {
      const { promise, resolve, reject } = Promise.withResolvers<Answer>();
      const fail = () => reject(new Error(`${file} did not answer within ${deadlineMs} ms, or ended`));
      const timer = setTimeout(fail, deadlineMs);
      const take = (reply: Reply<Answer>) => {
        if ('error' in reply) reject(new Error(`${file}: ${reply.error}`));
        else resolve(reply.answer);
      };
      child.once('message', take).once('exit', fail);
      child.send({ request });
      return promise.finally(() => {
        clearTimeout(timer);
        child.off('message', take).off('exit', fail);
      });
    },
    async [Symbol.asyncDispose]() {
      await end(child);
    },
  };
}

/** The other end of `startPart`: answers requests until the benchmark is gone. */
export function answerRequests<Request, Answer>(answer: (request: Request) => Promise<Answer>): void {
  process.on('message', ({ request }: { request: Request }) => {
    answer(request).then(
      (done) => process.send?.({ answer: done } satisfies Reply<Answer>),
      (error: Error) =>
        process.send?.({
          error: error.stack ?? error.message,
        } satisfies Reply<Answer>),
    );
  });
  process.once('disconnect', () => process.exit());
}

/** Looks until there is something to see. @throws when that takes too long, with what `state` says then */
export async function until<T>(
  what: string,
  look: () => Promise<T | null>,
  state: () => unknown = () => '',
): Promise<T> {
  for (const deadline = monotonicMs() + deadlineMs; monotonicMs() < deadline; await sleep(20)) {
    const found = await look();
    if (found !== null) return found;
  }
  throw new Error(`waited ${deadlineMs} ms for ${what} ${JSON.stringify(state())}`);
}

/** A clock that all processes of one machine share. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

function track(child: ChildProcess, name: string): number {
  if (child.pid === undefined) throw new Error(`${name} could not be started`);
  if (running.size === 0) process.once('exit', killAll);
  running.add(child);
  child.once('exit', () => {
    running.delete(child);
    if (running.size === 0) process.off('exit', killAll);
  });
  return child.pid;
}

/** For an end that disposes of nothing: a signal, or a bug. */
function killAll(): void {
  for (const child of running) child.kill('SIGKILL');
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** @returns whether it ended by itself when it was asked to */
async function end(child: ChildProcess): Promise<boolean> {
  if (hasEnded(child)) return true;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const impatience = setTimeout(() => child.kill('SIGKILL'), endDeadlineMs);
  child.kill('SIGTERM');
  await ended;
  clearTimeout(impatience);
  return child.signalCode !== 'SIGKILL';
}
