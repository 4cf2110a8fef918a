/** A Redis of a test's own: its own folder and Unix socket, configured to keep its word, ended by its pid. */
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Redis, type RedisOptions } from 'ioredis';
import { type Running, startProcess } from './processes.ts';
import { until } from './until.ts';

/** What tests ask of a client. */
type ClientOptions = Pick<RedisOptions, 'maxRetriesPerRequest' | 'enableAutoPipelining' | 'retryStrategy'>;

export type TestRedis = AsyncDisposable & {
  readonly url: string;
  /** The same as the path of its socket. */
  readonly path: string;
  /** A connection of the test's own, closed with it. */
  connect(options?: ClientOptions): Redis;
  /** Kills it: what it had answered is on disk. */
  stop(): Promise<void>;
  /** Holds it: it is there and does not answer, until it is let go on. */
  freeze(): void;
  thaw(): void;
  /** Starts it again on the same data. */
  start(): Promise<void>;
  /** Kills it and starts it again with so many keys more, each of which takes a millisecond to load until it is told `CONFIG SET key-load-delay 0`. */
  restartLoading(keys: number): Promise<void>;
  /** Over a connection of its own, which is ready also while it loads or is busy. */
  tell<T>(command: (client: Redis) => Promise<T>): Promise<T>;
};

const durable = { appendonly: 'yes', appendfsync: 'always', save: '', 'maxmemory-policy': 'noeviction' };

/** A millisecond for each key; between a kilobyte and the next it answers that it is loading. */
const slowLoading = { 'key-load-delay': '1000', 'loading-process-events-interval-bytes': '1024' };

/** @param more settings by their names in redis.conf, in place of ours */
export async function openTestRedis(more: Readonly<Record<string, string>> = {}): Promise<TestRedis> {
  await using opened = new AsyncDisposableStack();
  const dir = await mkdtemp(join(tmpdir(), 'pr-test-'));
  opened.defer(() => rm(dir, { recursive: true, force: true }));
  opened.defer(stop);
  const path = join(dir, 'redis.sock');
  const clients: Redis[] = [];
  let server: Running | undefined;

  function connect(options: ClientOptions = {}): Redis {
    const client = new Redis(path, options);
    clients.push(client);
    return client;
  }

  function launch(even: Readonly<Record<string, string>> = {}): Running {
    const settings = { port: '0', unixsocket: path, dir, ...durable, ...more, ...even };
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, ...value.split(' ')]);
    server = startProcess(redisProgram(), args);
    return server;
  }

  async function start(): Promise<void> {
    await launch().printed(/ready to accept connections/i);
  }

  async function restartLoading(count: number): Promise<void> {
    await tell((client) => client.eval("for i = 1, ARGV[1] do redis.call('SET', 'filler:' .. i, i) end", 0, count));
    // Into the part of its file that is loaded key by key.
    await tell((client) => client.bgrewriteaof());
    await until('the file to be written', async () => {
      const persistence = await tell((client) => client.info('persistence'));
      return ['in_progress', 'scheduled'].every((field) => persistence.includes(`aof_rewrite_${field}:0`));
    });
    await stop();
    await launch(slowLoading).printed(/server initialized/i);
  }

  async function tell<T>(command: (client: Redis) => Promise<T>): Promise<T> {
    const client = new Redis({ path, enableReadyCheck: false });
    try {
      return await command(client);
    } finally {
      client.disconnect();
    }
  }

  async function stop(): Promise<void> {
    server?.kill('SIGKILL');
    await server?.ended;
  }

  await start();
  const all = opened.move();
  return {
    url: `unix://${path}`,
    path,
    connect,
    start,
    restartLoading,
    tell,
    stop,
    freeze: () => server?.kill('SIGSTOP'),
    thaw: () => server?.kill('SIGCONT'),
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.disconnect();
      await all.disposeAsync();
    },
  };
}

/** Has a snapshot fail, as on a disk that cannot be written. @returns what it takes for the next one to succeed */
export async function failToSave({ path }: TestRedis, redis: Redis): Promise<() => Promise<void>> {
  const dump = join(dirname(path), 'dump.rdb');
  await mkdir(dump);
  await redis.bgsave();
  await until('the save to fail', async () => (await redis.info('persistence')).includes('rdb_last_bgsave_status:err'));
  return () => rm(dump, { recursive: true });
}

/** Looked for once: each look starts a process. */
let program: string | undefined;

export function redisProgram(): string {
  program ??= findRedis();
  return program;
}

function findRedis(): string {
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
