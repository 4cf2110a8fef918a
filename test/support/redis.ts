/** A Redis of a test's own: its own folder and Unix socket, configured to keep its word, ended by its pid. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Running, startProcess } from './processes.ts';

export type TestRedis = AsyncDisposable & {
  readonly url: string;
  /** Kills it: what it had answered is on disk. */
  stop(): Promise<void>;
  /** Holds it: it is there and does not answer, until it is let go on. */
  freeze(): void;
  thaw(): void;
  /** Starts it again on the same data. */
  start(): Promise<void>;
  /** Starts it again, and it takes long to load its data: until it is told `CONFIG SET key-load-delay 0`. */
  startLoading(): Promise<void>;
};

const durable = { appendonly: 'yes', appendfsync: 'always', save: '', 'maxmemory-policy': 'noeviction' };

/** A millisecond for each key; between a kilobyte and the next it answers that it is loading. */
const slowLoading = { 'key-load-delay': '1000', 'loading-process-events-interval-bytes': '1024' };

/** @param more settings by their names in redis.conf, in place of ours */
export async function openTestRedis(more: Readonly<Record<string, string>> = {}): Promise<TestRedis> {
  const dir = await mkdtemp(join(tmpdir(), 'pr-test-'));
  const socket = join(dir, 'redis.sock');
  let server: Running | undefined;

  function launch(even: Readonly<Record<string, string>> = {}): Running {
    const settings = { port: '0', unixsocket: socket, dir, ...durable, ...more, ...even };
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
    server = startProcess(redisProgram(), args);
    return server;
  }

  async function start(): Promise<void> {
    await launch().printed(/ready to accept connections/i);
  }

  async function startLoading(): Promise<void> {
    await launch(slowLoading).printed(/server initialized/i);
  }

  async function stop(): Promise<void> {
    server?.kill('SIGKILL');
    await server?.ended;
  }

  await start();
  return {
    url: `unix://${socket}`,
    start,
    startLoading,
    stop,
    freeze: () => server?.kill('SIGSTOP'),
    thaw: () => server?.kill('SIGCONT'),
    async [Symbol.asyncDispose]() {
      await stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

export function redisProgram(): string {
  for (const program of ['valkey-server', 'redis-server']) {
    try {
      execFileSync(program, ['--version']);
      return program;
    } catch {}
  }
  throw new Error(
    'Neither valkey-server nor redis-server is on the PATH: run npm test, which installs one, or install one',
  );
}
