/** The set-up script, run for real in a folder of its own, on a PATH where only the programs a test puts there exist. */
import { copyFile, mkdir, mkdtemp, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { expect, test } from 'vitest';
import { startProcess } from './support/processes.ts';

const lock = {
  '': { name: 'postrider' },
  'node_modules/needed': { version: '1.0.0' },
  'node_modules/for-macs': { version: '1.0.0', optional: true },
  'node_modules/for-tests': { version: '1.0.0', dev: true },
};
const needed = { 'node_modules/needed': { version: '1.0.0' } };
const installed = { ...needed, 'node_modules/for-tests': { version: '1.0.0' } };

const bringRedis = '/bin/ln -s /bin/sh "$BIN/redis-server"';
const bringDependencies = [
  '/bin/mkdir -p node_modules/.bin',
  '/bin/cp package-lock.json node_modules/.package-lock.json',
  '/bin/ln -sf "$NODE" node_modules/.bin/node',
].join('\n');

type Run = { readonly mode?: 'cli' | 'start' | 'test'; readonly uid?: number; readonly env?: Record<string, string> };

/** A checkout with its dependencies installed, and no program on the PATH. */
async function openMachine() {
  const dir = await realpath(await mkdtemp(join(tmpdir(), 'pr-setup-')));
  const [bin, ownBin, calls] = [join(dir, 'bin'), join(dir, 'node_modules/.bin'), join(dir, 'calls')];
  await Promise.all([bin, ownBin, join(dir, 'src')].map((path) => mkdir(path, { recursive: true })));
  await copyFile(new URL('../src/setup.cjs', import.meta.url), join(dir, 'src/setup.cjs'));
  await writeFile(join(dir, 'package-lock.json'), JSON.stringify({ packages: lock }));
  await writeFile(calls, '');
  const record = (packages: object) =>
    writeFile(join(dir, 'node_modules/.package-lock.json'), JSON.stringify({ packages }));
  await record(installed);
  await symlink(process.execPath, join(ownBin, 'node'));

  return {
    ownBin,
    /** Changes what npm says it has installed. */
    record,
    remove: (path: string) => rm(join(dir, path), { recursive: true }),
    /** A program that writes down how it was called and then does `work`. */
    async add(program: string, work = '') {
      await writeFile(join(bin, program), `#!/bin/sh\necho "${program} $*" >> "$CALLS"\n${work}\n`, { mode: 0o755 });
    },
    calls: async () => (await readFile(calls, 'utf8')).split('\n').slice(0, -1),
    async setUp({ mode, uid = 1000, env = {} }: Run) {
      await writeFile(join(dir, 'uid.cjs'), `process.getuid = () => ${uid};`);
      const args = ['--require', join(dir, 'uid.cjs'), join(dir, 'src/setup.cjs'), ...(mode ? [mode] : [])];
      const unset = { REDIS_URL: '', REDIS_URL_FILE: '', NODE_OPTIONS: '', DEBIAN_FRONTEND: '' };
      const known = { PATH: `${ownBin}${delimiter}${bin}`, BIN: bin, CALLS: calls, NODE: process.execPath };
      await using running = startProcess(process.execPath, args, { cwd: dir, env: { ...unset, ...known, ...env } });
      const code = await running.ended;
      return { code, printed: running.output() };
    },
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }),
  };
}

const done = { code: 0, printed: '' };
const advice = (command: string) =>
  `valkey-server is missing: Postrider keeps its mail in Redis or Valkey.\nInstall it: ${command}\nOr set REDIS_URL to a server that runs elsewhere.\n`;

test('nothing is printed and nothing is run when nothing is missing', async () => {
  await using machine = await openMachine();
  for (const program of ['npm', 'apt-get', 'sudo', 'redis-server', 'chromium', 'smtp-sink', 'helm'])
    await machine.add(program);
  expect(await machine.setUp({})).toEqual(done);
  for (const mode of ['cli', 'start', 'test'] as const) expect(await machine.setUp({ mode })).toEqual(done);
  expect(await machine.calls()).toEqual([]);
});

test('without dev packages, as in production, a start of the service does not install them', async () => {
  await using machine = await openMachine();
  for (const program of ['redis-server', 'chromium', 'smtp-sink', 'helm']) await machine.add(program);
  await machine.add('npm', bringDependencies);
  await machine.record(needed);
  expect(await machine.setUp({ mode: 'cli' })).toEqual(done);
  expect(await machine.setUp({ mode: 'start' })).toEqual(done);
  expect(await machine.calls()).toEqual([]);
  await machine.setUp({ mode: 'test' });
  expect(await machine.calls()).toHaveLength(1);
});

test.each<[string, (machine: Awaited<ReturnType<typeof openMachine>>) => Promise<void>]>([
  ['there are none', (machine) => machine.remove('node_modules')],
  ['the lock file names another version', (machine) => machine.record({ 'node_modules/needed': { version: '0.9.0' } })],
  ['the lock file names one more', (machine) => machine.record({})],
  ['an earlier npm ci was broken off', (machine) => machine.remove('node_modules/.package-lock.json')],
  ['Node itself is missing', (machine) => machine.remove('node_modules/.bin/node')],
])('the locked dependencies are installed when %s, once', async (_, spoil) => {
  await using machine = await openMachine();
  await machine.add('npm', bringDependencies);
  await spoil(machine);
  expect(await machine.setUp({})).toEqual({ code: 0, printed: 'Installing dependencies (npm ci) ...\n' });
  expect(await machine.setUp({})).toEqual(done);
  expect(await machine.calls()).toEqual([expect.stringMatching(/^npm ci --include=dev --loglevel=error /)]);
});

test.each(['cli', 'start'] as const)('everything the service needs is also installed before %s', async (mode) => {
  await using machine = await openMachine();
  await machine.add('redis-server');
  await machine.add('npm', bringDependencies);
  await machine.record({});
  expect(await machine.setUp({ mode })).toMatchObject({ code: 0 });
  expect(await machine.calls()).toHaveLength(1);
});

test('npm does not find its node in the folder it replaces', async () => {
  await using machine = await openMachine();
  await machine.record({});
  await machine.add('npm', `echo "$PATH" >> "$CALLS"\n${bringDependencies}`);
  await machine.setUp({});
  const [, path] = await machine.calls();
  expect(path).not.toContain(machine.ownBin);
});

test('when npm fails, its own words are shown and nothing else is tried', async () => {
  await using machine = await openMachine();
  await machine.record({});
  await machine.add('npm', 'echo "npm error network down" >&2; exit 7');
  const printed = 'Installing dependencies (npm ci) ...\nnpm error network down\n`npm ci` failed: see above.\n';
  expect(await machine.setUp({ mode: 'start' })).toEqual({ code: 1, printed });
});

test("a node_modules whose node does not run here is replaced by the system's own", async () => {
  await using machine = await openMachine();
  await machine.record({});
  await machine.add('npm', `${bringDependencies}\n/bin/ln -sf /bin/false node_modules/.bin/node`);
  const failed = await machine.setUp({});
  expect(failed).toMatchObject({ code: 1, printed: expect.stringContaining('No Node.js 24 runs here') });
  await machine.add('node', 'echo 24.0.0');
  expect(await machine.setUp({})).toEqual(done);
});

test('without Redis and without a package manager it says so', async () => {
  await using machine = await openMachine();
  const { code, printed } = await machine.setUp({ mode: 'start' });
  expect(code).toBe(1);
  expect(printed).toMatch(/^valkey-server is missing: .+\nInstall it by hand: .+\nOr set REDIS_URL /);
});

test.each(['REDIS_URL', 'REDIS_URL_FILE'])('with %s no Redis is looked for', async (name) => {
  await using machine = await openMachine();
  expect(await machine.setUp({ mode: 'start', env: { [name]: 'redis://elsewhere' } })).toEqual(done);
});

test.each([
  ['apt-get', 'sudo apt-get install redis-server'],
  ['dnf', 'sudo dnf install valkey'],
  ['apk', 'sudo apk add valkey'],
])('where %s needs a password, the command to type is printed', async (manager, command) => {
  await using machine = await openMachine();
  await machine.add(manager, bringRedis);
  await machine.add('sudo', 'exit 1');
  expect(await machine.setUp({ mode: 'start' })).toEqual({ code: 1, printed: advice(command) });
  expect(await machine.calls()).toEqual(['sudo -n true']);
});

test.each([
  ['apt-get', 0, /^apt-get install --yes .*systemctl mask --runtime --quiet redis-server.* redis-server$/],
  ['dnf', 0, /^dnf install --assumeyes valkey$/],
  ['apk', 0, /^apk add --no-cache valkey$/],
  ['brew', 1000, /^brew install valkey$/],
] as const)('%s installs Redis if it has the permission', async (manager, uid, call) => {
  await using machine = await openMachine();
  await machine.add(manager, bringRedis);
  const { code, printed } = await machine.setUp({ mode: 'start', uid });
  expect(printed).toMatch(/^Installing \S+ \(.+\): Postrider keeps its mail in Redis or Valkey \.\.\.\n$/);
  expect(code).toBe(0);
  expect(await machine.calls()).toEqual([expect.stringMatching(call)]);
});

test('a sudo that asks for no password is used', async () => {
  await using machine = await openMachine();
  await machine.add('sudo', 'shift; [ "$1" = true ] || exec "$@"');
  await machine.add('apt-get', `[ "$DEBIAN_FRONTEND" = noninteractive ] && ${bringRedis}`);
  expect(await machine.setUp({ mode: 'start' })).toMatchObject({ code: 0 });
  const called = (await machine.calls()).map((call) => call.split(' ').slice(0, 3).join(' '));
  expect(called).toEqual(['sudo -n true', 'sudo -n /usr/bin/env', 'apt-get install --yes']);
});

test('when the package lists are old they are fetched and the installation is tried again', async () => {
  await using machine = await openMachine();
  await machine.add(
    'apt-get',
    `[ "$1" = update ] && echo > "$BIN/lists"; [ "$1" != update ] && [ -e "$BIN/lists" ] && ${bringRedis}`,
  );
  expect(await machine.setUp({ mode: 'start', uid: 0 })).toMatchObject({ code: 0 });
  expect((await machine.calls()).map((call) => call.split(' ')[1])).toEqual(['install', 'update', 'install']);
});

test('when the installation fails, the package manager is quoted and the command to type is printed', async () => {
  await using machine = await openMachine();
  await machine.add('apt-get', 'echo "E: no disk space" >&2; exit 100');
  const { code, printed } = await machine.setUp({ mode: 'start', uid: 0 });
  expect(code).toBe(1);
  expect(printed).toContain(`E: no disk space\n${advice('apt-get install redis-server')}`);
});

test('a program that only single tests use costs one line when it cannot be installed', async () => {
  await using machine = await openMachine();
  await machine.add('redis-server');
  await machine.add('apt-get', 'exit 100');
  const { code, printed } = await machine.setUp({ mode: 'test' });
  expect(code).toBe(0);
  const lines = printed.split('\n').slice(0, -1);
  expect(lines.length).toBeGreaterThan(0);
  for (const line of lines)
    expect(line).toMatch(/^\S+ is missing: .+ Install it(: sudo apt-get install \S+| by hand: .+)$/);
});

test('helm is built where there is Go, and found there by the next run', async () => {
  await using machine = await openMachine();
  for (const program of ['redis-server', 'chromium', 'smtp-sink']) await machine.add(program);
  await machine.add('go', '/bin/mkdir -p "$GOPATH/bin" && /bin/ln -s /bin/sh "$GOPATH/bin/helm"');
  const env = { GOPATH: join(machine.ownBin, 'go'), GOBIN: '' };
  const { code, printed } = await machine.setUp({ mode: 'test', env });
  expect([code, printed]).toEqual([
    0,
    expect.stringMatching(/^Installing helm\.sh\S+ \(go install .+\): .+ \.\.\.\n$/),
  ]);
  expect(await machine.setUp({ mode: 'test', env })).toEqual(done);
  expect(await machine.calls()).toEqual(['go install helm.sh/helm/v3/cmd/helm@v3.22.0']);
});
