/** A Redis of the benchmark's own: on a Unix socket in a temporary folder, as durable as we ask of users, gone afterwards. */
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { startProcess, until } from './processes.ts';

export type OwnRedis = AsyncDisposable & {
  /** An empty folder of the run's own, for whoever needs one. */
  readonly dir: string;
  readonly pid: number;
  readonly socket: string;
  readonly client: Redis;
  /** Such as `Redis 7.0.15, appendfsync always`. */
  readonly description: string;
};

const settings = {
  port: '0',
  unixsocketperm: '700',
  appendonly: 'yes',
  appendfsync: 'always',
  save: '',
  'maxmemory-policy': 'noeviction',
  // A rewrite would fall into one part of a run and not into another.
  'auto-aof-rewrite-percentage': '0',
};

export async function openOwnRedis(): Promise<OwnRedis> {
  await using opened = new AsyncDisposableStack();
  const dir = await mkdtemp(join(tmpdir(), 'postrider-bench-'));
  const removeNow = () => rmSync(dir, { recursive: true, force: true });
  process.once('exit', removeNow);
  opened.defer(async () => {
    await rm(dir, { recursive: true, force: true });
    process.off('exit', removeNow);
  });
  const socket = join(dir, 'redis.sock');
  const args = Object.entries({ ...settings, dir, unixsocket: socket }).flatMap(([name, value]) => [
    `--${name}`,
    value,
  ]);
  const program = findServer();
  const server = opened.use(startProcess(program, args, { cwd: dir, env: {} }));
  await server.printed(/ready to accept connections/i);
  const client = opened.adopt(new Redis(socket, { lazyConnect: true }), (redis) => redis.disconnect());
  await until('Redis to answer', () => client.ping().catch(() => null));
  const appendfsync = (await client.config('GET', 'appendfsync')) as string[];
  const version =
    field(await client.info('server'), 'valkey_version') ?? field(await client.info('server'), 'redis_version');
  const description = `${program === 'valkey-server' ? 'Valkey' : 'Redis'} ${version}, ${appendfsync.join(' ')}`;
  const all = opened.move();
  return {
    dir,
    pid: server.pid,
    socket,
    client,
    description,
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

/** One field of what INFO answers. */
export function field(info: string, name: string): string | undefined {
  return new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1];
}

function findServer(): string {
  for (const program of ['valkey-server', 'redis-server']) {
    try {
      execFileSync(program, ['--version'], { stdio: 'ignore' });
      return program;
    } catch {}
  }
  throw new Error('Neither valkey-server nor redis-server is on the PATH');
}
