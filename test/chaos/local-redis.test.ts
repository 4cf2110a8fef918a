/** Postrider's own Redis: configured to keep its word, shared, found again after a crash, stopped by its last user. */
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { main, type Postrider, startPostrider, testApiKey } from '../support/postrider.ts';
import { type Running, startProcess } from '../support/processes.ts';
import { openSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

let dir: string;
beforeEach(async () => {
  // A name with everything that a URL would take for something else.
  dir = await mkdtemp(join(tmpdir(), 'pr local #?%-'));
});
afterEach(async () => {
  await until('the local Redis to be gone', async () => !(await isRunning()));
  await rm(dir, { recursive: true, force: true });
});

function start(env: Record<string, string | undefined> = {}): Promise<Postrider> {
  return startPostrider({ DATA_DIR: dir, POSTRIDER_API_KEY: undefined, SECRET_KEY: undefined, ...env });
}

async function serverPid(): Promise<number> {
  return Number(await readFile(join(dir, 'redis/redis.pid'), 'utf8').catch(() => 'NaN'));
}

async function isRunning(): Promise<boolean> {
  const pid = await serverPid();
  if (Number.isNaN(pid)) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function stop(postrider: Postrider): Promise<void> {
  postrider.kill('SIGTERM');
  expect(await postrider.ended, postrider.output()).toBe(0);
}

it('the local Redis keeps what it confirmed (append-only file, fsync always, no eviction), and no other user can open it', async () => {
  await using postrider = await start();
  const redis = new Redis({ path: join(dir, 'redis/redis.sock') });
  const setting = async (name: string) => ((await redis.config('GET', name)) as string[])[1];
  expect([
    await setting('appendonly'),
    await setting('appendfsync'),
    await setting('maxmemory-policy'),
    await setting('port'),
  ]).toEqual(['yes', 'always', 'noeviction', '0']);
  redis.disconnect();
  const modes = await Promise.all(
    ['api-key', 'secret-key', 'redis/redis.sock', '.'].map(async (name) => (await stat(join(dir, name))).mode & 0o777),
  );
  expect(modes).toEqual([0o600, 0o600, 0o700, 0o700]);
  await stop(postrider);
  expect(await isRunning()).toBe(false);
});

it('prints the address, the key it made and a curl command that works unchanged', async () => {
  await using postrider = await start();
  const key = (await readFile(join(dir, 'api-key'), 'utf8')).trim();
  expect(postrider.output()).toContain(key);
  const [command = ''] = /^curl [\s\S]*?}'$/m.exec(postrider.output()) ?? [];
  expect(JSON.parse(execFileSync('sh', ['-c', `${command} --silent`], { encoding: 'utf8' }))).toMatchObject({
    object: 'email',
    status: 'queued',
  });
  await stop(postrider);
  await using again = await start();
  expect(again.output()).toContain(key);
  await stop(again);
});

it('the local Redis is found again, with its data, when the process that started it was killed', async () => {
  const first = await start();
  const pid = await serverPid();
  const key = (await readFile(join(dir, 'api-key'), 'utf8')).trim();
  const sent = await first.api(
    'POST',
    '/v1/emails',
    { from: 'a@x.co', to: 'b@x.co', subject: 's', text: 't' },
    { authorization: `Bearer ${key}` },
  );
  first.kill('SIGKILL');
  await first.ended;
  expect(await isRunning()).toBe(true);
  await using second = await start();
  expect(await serverPid()).toBe(pid);
  expect(
    (await second.api('GET', `/v1/emails/${sent.body.id}`, undefined, { authorization: `Bearer ${key}` })).status,
  ).toBe(200);
  await stop(second);
  expect(await isRunning()).toBe(false);
});

it('the local Redis starts again over a stale pid file and an abandoned lock, also when another process has the pid now', async () => {
  const first = await start();
  const pid = await serverPid();
  first.kill('SIGKILL');
  await first.ended;
  process.kill(pid, 'SIGKILL');
  await until('Redis to be dead', async () => !(await isRunning()));
  await writeFile(join(dir, 'redis/redis.pid'), String(process.pid));
  await writeFile(join(dir, 'redis/lock'), `${hostname()} ${pid} of-one-that-died`);
  await using second = await start();
  expect(await serverPid()).not.toBe(pid);
  await stop(second);
});

it('the local Redis is started again on its data when it dies, and the mail goes on', async () => {
  await using postrider = await start({ POSTRIDER_API_KEY: testApiKey });
  const send = () => postrider.api('POST', '/v1/emails', { from: 'a@x.co', to: 'b@x.co', subject: 's', text: 't' });
  const before = await send();
  process.kill(await serverPid(), 'SIGKILL');
  const after = await until('an email to be accepted again', async () => {
    const answer = await send();
    return answer.status === 202 && answer;
  });
  const isSent = async (id: string) => (await postrider.api('GET', `/v1/emails/${id}`)).body.status === 'sent';
  await until('both to be sent', async () => (await isSent(before.body.id)) && (await isSent(after.body.id)));
  await stop(postrider);
});

it('the local Redis is started again once, however many of its connections find it dead, and however slow the machine', async () => {
  const bin = join(dir, 'bin');
  const begun = join(dir, 'begun');
  await mkdir(bin);
  const slow = `#!/bin/sh\n[ "$1" = --version ] && exec sleep 0.5\necho one >> '${begun}'\nexec redis-server "$@"\n`;
  await writeFile(join(bin, 'valkey-server'), slow, { mode: 0o755 });
  await using postrider = await start({ PATH: `${bin}:${process.env.PATH}` });
  process.kill(await serverPid(), 'SIGKILL');
  await until('it to be ready again', async () => (await postrider.api('GET', '/readyz')).status === 200);
  await stop(postrider);
  expect(await readFile(begun, 'utf8')).toBe('one\none\n');
});

it('the local Redis leaves nothing behind when its folder is removed under it', async () => {
  await using postrider = await start();
  const pid = await serverPid();
  await rm(dir, { recursive: true });
  await stop(postrider);
  // Without its folder nobody can wait for the pid file to go: the server may take a moment more than the process that stopped it.
  await until('the server to be gone', () => {
    try {
      return !process.kill(pid, 0);
    } catch {
      return true;
    }
  });
});

it.each(['api-key', 'secret-key'])('a %s that holds something else is not used but reported', async (name) => {
  await writeFile(join(dir, name), '\n');
  await expect(start()).rejects.toThrow(`${name} does not hold what Postrider wrote`);
});

it('the local Redis is shared by an API and a worker that start at the same time, and stopped by whichever goes last', async () => {
  const [api, worker] = await Promise.all([start({ ROLES: 'api' }), start({ ROLES: 'worker' })]);
  const key = (await readFile(join(dir, 'api-key'), 'utf8')).trim();
  const headers = { authorization: `Bearer ${key}` };
  const { body } = await api.api(
    'POST',
    '/v1/emails',
    { from: 'a@x.co', to: 'b@x.co', subject: 's', text: 't' },
    headers,
  );
  await until(
    'the worker to capture it',
    async () => (await api.api('GET', `/v1/emails/${body.id}`, undefined, headers)).body.status === 'sent',
  );
  await stop(worker);
  expect(await isRunning()).toBe(true);
  expect((await api.api('GET', '/readyz')).status).toBe(200);
  await stop(api);
  expect(await isRunning()).toBe(false);
});

/** A second signal ends it at once; those in quick succession are one. */
async function forceStop(postrider: Postrider): Promise<void> {
  let end: number | string | undefined;
  void postrider.ended.then((code) => {
    end = code;
  });
  await until('a later signal to end it', () => {
    postrider.kill('SIGTERM');
    return end !== undefined;
  });
  expect(end, postrider.output()).toBe(130);
}

it('the local Redis is stopped also by a last user that is forced to end with mail in hand, and goes on while there is another', async () => {
  const reached = Promise.withResolvers<void>();
  await using smtp = await openSmtpServer({
    onMessage() {
      reached.resolve();
      return 'hold';
    },
  });
  const env = { POSTRIDER_API_KEY: testApiKey, SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none` };
  await using api = await start({ ...env, ROLES: 'api' });
  await using worker = await start({ ...env, ROLES: 'worker', SHUTDOWN_TIMEOUT: '10m' });
  const email = { from: 'a@example.com', to: 'b@example.org', subject: 'Hi', text: 'Hello' };
  const { id } = (await api.api('POST', '/v1/emails', email)).body;
  await reached.promise;
  await forceStop(worker);
  expect((await api.api('GET', `/v1/emails/${id}`)).status).toBe(200);

  await using last = await start({ ...env, ROLES: 'worker', SHUTDOWN_TIMEOUT: '10m' });
  await stop(api);
  expect(await isRunning()).toBe(true);
  await until('the mail to be in hand again', () => smtp.connections > 1);
  await forceStop(last);
  expect(await isRunning()).toBe(false);
});

it('a local Redis that is held up does not hold up the stop of its last user, whose log says what it had in hand', async () => {
  const reached = Promise.withResolvers<void>();
  await using smtp = await openSmtpServer({
    async onMessage() {
      process.kill(await serverPid(), 'SIGSTOP');
      reached.resolve();
      return undefined;
    },
  });
  const SMTP_URL = `smtp://127.0.0.1:${smtp.port}?tls=none`;
  await using postrider = await start({ POSTRIDER_API_KEY: testApiKey, SMTP_URL, SHUTDOWN_TIMEOUT: '0s' });
  const email = { from: 'a@example.com', to: 'b@example.org', subject: 'Hi', text: 'Hello' };
  const { id } = (await postrider.api('POST', '/v1/emails', email)).body;
  await reached.promise;
  postrider.kill('SIGTERM');
  expect(await postrider.ended, postrider.output()).toBe(1);
  expect(postrider.output()).toContain('stopped with unfinished work after SHUTDOWN_TIMEOUT');
  expect(postrider.output()).toMatch(new RegExp(`${id}.*stopped`));
  process.kill(await serverPid(), 'SIGKILL');
});

/** Starts a process that is not waited for. */
function begin(env: Record<string, string | undefined>): Running {
  const own = { DATA_DIR: dir, PORT: '0', POSTRIDER_API_KEY: undefined, SECRET_KEY: undefined };
  return startProcess(process.execPath, [main], { env: { ...own, ...env } });
}

it('a stop while the local Redis comes up ends both at once, and leaves neither its lock nor its pid', async () => {
  const bin = join(dir, 'bin');
  await mkdir(bin);
  const stuck = '#!/bin/sh\n[ "$1" = --version ] && exit 0\nkill -STOP $$\n';
  await writeFile(join(bin, 'valkey-server'), stuck, { mode: 0o755 });
  await using postrider = begin({ PATH: `${bin}:${process.env.PATH}` });
  await until('the server to be started', isRunning);
  await using over = new AsyncDisposableStack();
  const pid = await serverPid();
  over.defer(async () => void ((await isRunning()) && process.kill(pid, 'SIGKILL')));
  postrider.kill('SIGTERM');
  expect(await postrider.ended, postrider.output()).toBe(0);
  expect(await isRunning()).toBe(false);
  expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  expect(await readdir(join(dir, 'redis'))).toEqual(['redis.log']);
});

it('a stop while another process has the local Redis come up ends the one that waits for it', async () => {
  await mkdir(join(dir, 'redis'));
  const other = `${hostname()} ${process.pid} other`;
  await writeFile(join(dir, 'redis/lock'), other);
  await using postrider = begin({});
  await postrider.printed(/the start waits for it/);
  postrider.kill('SIGTERM');
  expect(await postrider.ended, postrider.output()).toBe(0);
  expect(await readFile(join(dir, 'redis/lock'), 'utf8')).toBe(other);
});
