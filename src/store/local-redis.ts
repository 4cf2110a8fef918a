/** Postrider's own Redis, for development: started in the data folder, found again after a crash, stopped by its last user. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Redis } from 'ioredis';
import { inDataDir, makeFolder } from './data-dir.ts';
import { type LockTerms, withLock } from './folder-lock.ts';
import { openRedis } from './redis.ts';

const run = promisify(execFile);

/** Longest Unix socket path, in octets, on all systems we run on (macOS allows the least). */
const maxSocketPath = 103;
/** Loading a large append-only file takes time; a start that takes longer than this has failed. */
const startDeadlineMs = 60_000;
const pollMs = 50;
/** A lock older than the longest start is free. */
const lockExpiresMs = startDeadlineMs + 10_000;

/**
 * The name in `CLIENT LIST` of one connection of each process, so that the last process knows that it is the last. A process may end with others
 * still open.
 */
const presenceName = 'postrider-presence';

type LocalRedis = AsyncDisposable & { readonly url: string };

/**
 * Starts `valkey-server` or `redis-server` on a Unix socket in `dataDir/redis`, or joins the one that runs there.
 * Disposing stops it, unless another Postrider still uses it.
 * @param cut aborted to give up the start, and with it a server that was started and did not answer yet
 */
export async function openLocalRedis(
  dataDir: string,
  chance: Omit<LockTerms, 'expiresMs'>,
  cut: AbortSignal,
): Promise<LocalRedis> {
  const dir = resolve(dataDir, 'redis');
  const socket = join(dir, 'redis.sock');
  if (Buffer.byteLength(socket) > maxSocketPath) {
    throw new Error(
      `DATA_DIR is too long for a Unix socket: ${socket} is over ${maxSocketPath} bytes. Choose a shorter folder or set REDIS_URL.`,
    );
  }
  // One process at a time starts, joins or stops the server: two servers on one append-only file would ruin it.
  const lockTerms = { ...chance, expiresMs: lockExpiresMs };
  const alone = <T>(work: () => Promise<T>, stop?: AbortSignal) => withLock(join(dir, 'lock'), lockTerms, work, stop);
  const url = `unix://${socket.split('/').map(encodeURIComponent).join('/')}`;
  // Held for as long as this process uses the server: the last user is the one that sees nobody else connected.
  const presence = await inDataDir(dataDir, async () => {
    await makeFolder(dir);
    return alone(() => joinOrStart({ dir, socket, url }, cut), cut);
  });
  // When the server dies, it is started again on its data; the connections reconnect by themselves.
  let reviving: Promise<unknown> | null = null;
  const revive = () => {
    // Each connection that fails meanwhile says so as well.
    reviving ??= alone(() => startUnlessServing(dir, socket))
      .catch(() => {})
      .finally(() => {
        reviving = null;
      });
  };
  presence.on('close', revive);
  return {
    url,
    async [Symbol.asyncDispose]() {
      presence.off('close', revive);
      await reviving;
      await alone(() => leave(presence, dir));
    },
  };
}

type Place = { readonly dir: string; readonly socket: string; readonly url: string };

async function joinOrStart({ dir, socket, url }: Place, cut: AbortSignal): Promise<Redis> {
  const running = await tryOpen(url, cut);
  if (running !== null) return running;
  cut.throwIfAborted();
  const started = await startUnlessServing(dir, socket);
  const overdue = AbortSignal.timeout(startDeadlineMs);
  while (!cut.aborted && !overdue.aborted && (await isServing(dir, socket))) {
    const redis = await tryOpen(url, cut);
    if (redis !== null) return redis;
    await sleep(pollMs);
  }
  if (started !== null) await giveUp(started, dir);
  cut.throwIfAborted();
  throw new Error(`The local Redis did not start: see ${join(dir, 'redis.log')}`);
}

async function startUnlessServing(dir: string, socket: string): Promise<ChildProcess | null> {
  return (await isServing(dir, socket)) ? null : startServer(dir, socket);
}

/** What it answered is on disk, and one that does not answer may not heed a milder signal. */
async function giveUp(server: ChildProcess, dir: string): Promise<void> {
  server.kill('SIGKILL');
  if (server.exitCode === null && server.signalCode === null) await once(server, 'exit');
  await rm(join(dir, 'redis.pid'), { force: true });
}

/** @param cut ends the wait for one that loads its data; it does not end the connection, which lasts until the last user leaves */
async function tryOpen(url: string, cut: AbortSignal): Promise<Redis | null> {
  const opening = new AbortController();
  const end = () => opening.abort();
  cut.addEventListener('abort', end, { once: true });
  try {
    return await openRedis({ url }, 'fail_fast', { name: presenceName, cut: opening.signal });
  } catch {
    return null;
  } finally {
    cut.removeEventListener('abort', end);
  }
}

/** Whether the process in the pid file is alive and is the server of this folder, and not another process with a recycled pid. */
async function isServing(dir: string, socket: string): Promise<boolean> {
  const pid = Number(await readFile(join(dir, 'redis.pid'), 'utf8').catch(() => '0'));
  if (!(pid > 0)) return false;
  return (await commandLine(pid)).includes(socket);
}

/** The command line of a live process; empty for a dead one. From /proc on Linux, from ps elsewhere. */
async function commandLine(pid: number): Promise<string> {
  const askPs = () => run('ps', ['-o', 'args=', '-p', String(pid)]).then(({ stdout }) => stdout);
  return readFile(`/proc/${pid}/cmdline`, 'utf8')
    .catch(askPs)
    .catch(() => '');
}

/** Detached, so that Ctrl-C in the terminal reaches Postrider first and the mail in hand can still be settled. */
async function startServer(dir: string, socket: string): Promise<ChildProcess> {
  const program = await findServer();
  const log = openSync(join(dir, 'redis.log'), 'a', 0o600);
  const settings = {
    port: '0',
    unixsocket: socket,
    unixsocketperm: '700',
    dir,
    appendonly: 'yes',
    appendfsync: 'always',
    save: '',
    'maxmemory-policy': 'noeviction',
  };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  const server = spawn(program, args, { detached: true, stdio: ['ignore', log, log] });
  closeSync(log);
  await new Promise<void>((spawned, failed) => server.once('spawn', spawned).once('error', failed));
  server.unref();
  await writeFile(join(dir, 'redis.pid'), String(server.pid));
  return server;
}

async function findServer(): Promise<string> {
  for (const program of ['valkey-server', 'redis-server']) {
    const found = await run(program, ['--version']).then(
      () => true,
      () => false,
    );
    if (found) return program;
  }
  throw new Error('Neither valkey-server nor redis-server is on the PATH. Install one of them or set REDIS_URL.');
}

async function leave(presence: Redis, dir: string): Promise<void> {
  const clients = String(await presence.client('LIST').catch(() => ''));
  const users = clients.split('\n').filter((line) => line.split(' ').includes(`name=${presenceName}`)).length;
  if (users <= 1) await presence.shutdown().catch(() => {}); // the answer to SHUTDOWN is a closed connection
  presence.disconnect();
  if (users > 1) return;
  const socket = join(dir, 'redis.sock');
  const overdue = AbortSignal.timeout(startDeadlineMs);
  while (!overdue.aborted && (await isServing(dir, socket))) await sleep(pollMs);
  await rm(join(dir, 'redis.pid'), { force: true });
}
