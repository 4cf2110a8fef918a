/** Dockerfile and docker-compose.yml, as far as they can be held without an engine: what gets in, who runs it, and that their names are ours. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Redis } from 'ioredis';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import packageJson from '../package.json' with { type: 'json' };
import { readConfig } from '../src/config.ts';
import { parseDuration } from '../src/domain/duration.ts';
import { startPostrider } from './support/postrider.ts';
import { startProcess } from './support/processes.ts';
import { openTestRedis, redisProgram } from './support/redis.ts';
import { isSetting } from './support/setting-names.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const dir = mkdtempSync(join(tmpdir(), 'pr-container-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe('the image', () => {
  /** One instruction a line, without comments. */
  const lines = read('Dockerfile')
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n');
  const all = (name: string) =>
    lines.filter((line) => line.startsWith(`${name} `)).map((line) => line.slice(name.length + 1));
  const last = (name: string) => all(name).at(-1) ?? '';

  it('takes from this folder what it names and nothing else: no .git, no secret, no test', () => {
    const copied = all('COPY').filter((what) => !what.startsWith('--from='));
    const sources = copied.flatMap((what) => what.split(' ').slice(0, -1));
    const [first, ...allowed] = read('.dockerignore')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    expect(first).toBe('*');
    expect(allowed.toSorted()).toEqual(sources.map((source) => `!${source}`).toSorted());
    expect(sources.toSorted()).toEqual(['LICENSE', 'package-lock.json', 'package.json', 'src']);
  });

  it('has no dev dependency, and the sources need none', () => {
    expect(all('RUN').join('\n')).toContain('npm ci --omit=dev --ignore-scripts');
    const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.ts'),
    );
    const imported = sources.flatMap((name) =>
      [
        ...read(join('src', name)).matchAll(
          /^(?:import|export) (?!type )[^;]*?from '([^.'][^']*)'|(?:await import|createRequire\(import\.meta\.url\))\('([^.'][^']*)'\)/gm,
        ),
      ].map(([, from, late = '']) => from ?? late),
    );
    const packages = imported.filter((from) => !from.startsWith('node:') && !builtinModules.includes(from));
    const names = [...new Set(packages.map((from) => /^(?:@[^/]+\/)?[^/]+/.exec(from)?.[0]))];
    expect(names.filter((name) => name === undefined || !(name in packageJson.dependencies))).toEqual([]);
  });

  it('is built on a base that can be pinned, in both stages', () => {
    expect(all('ARG')[0]).toBe('BASE=node:24-slim');
    expect(all('FROM').map((base) => base.replace(/^\$\{(.+)\}/, '$1'))).toEqual(['BASE AS build', 'BASE']);
  });

  it('runs under an init process, as nobody in particular, in production', () => {
    expect(last('USER')).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    expect(JSON.parse(last('ENTRYPOINT'))).toEqual(['tini', '--', 'node']);
    expect(JSON.parse(last('CMD'))).toEqual(['src/main.ts']);
    const env = Object.fromEntries(
      last('ENV')
        .split(' ')
        .map((pair) => pair.split('=')),
    );
    expect(env).toMatchObject({ NODE_ENV: 'production', HOST: '0.0.0.0' });
    expect(Object.keys(env).filter((name) => name !== 'NODE_COMPILE_CACHE' && !isSetting(name))).toEqual([]);
    expect(env.PORT).toBe(last('EXPOSE'));
  });

  it('what Node.js compiles beforehand is compiled by who runs it: nobody else finds it', () => {
    const compiled = lines.findIndex((line) => line.startsWith('RUN node '));
    const users = lines.slice(0, compiled).filter((line) => line.startsWith('USER '));
    expect(compiled).toBeGreaterThan(0);
    expect(users.at(-1)).toBe(`USER ${last('USER')}`);
  });

  it('what a role of it loads at its start was compiled beforehand, but for the one file that would run', async () => {
    const [, compile = ''] = /^RUN (node .*)$/m.exec(lines.join('\n')) ?? [];
    const compiled = mkdtempSync(join(tmpdir(), 'pr-compiled-'));
    onTestFinished(() => rmSync(compiled, { recursive: true }));
    const cached = {
      NODE_COMPILE_CACHE: compiled,
      PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
    };
    await using compiling = startProcess('sh', ['-c', compile], { cwd: root, env: cached });
    expect(await compiling.ended, compiling.output()).toBe(0);
    await using redis = await openTestRedis();
    const shared = { ...cached, NODE_DEBUG_NATIVE: 'COMPILE_CACHE', NODE_ENV: 'production', REDIS_URL: redis.url };
    for (const ROLES of ['api', 'worker']) {
      const env = { ...shared, ROLES, HEALTH_PORT: '0', SMTP_URL: 'smtp://127.0.0.1:9?tls=none' };
      await using postrider = await startPostrider(env);
      const missed = [...postrider.output().matchAll(/reading cache from \S+ for \S+ (\S+)\.\.\. no such file/g)];
      expect([...new Set(missed.map(([, file]) => file))]).toEqual([pathToFileURL(join(root, 'src/main.ts')).href]);
    }
  });

  it('asks itself for its health with our own command', () => {
    const [, command = ''] = /HEALTHCHECK .*CMD (\[.*\])/.exec(read('Dockerfile')) ?? [];
    expect(JSON.parse(command)).toEqual(['node', 'src/cli.ts', 'health']);
  });

  it('says the version of package.json', () => {
    expect(all('ARG')).toContain(`VERSION=${packageJson.version}`);
  });
});

const dependsOn = z.record(
  z.string(),
  z.strictObject({ condition: z.enum(['service_healthy', 'service_completed_successfully']) }),
);
/** The part of the compose file format that is used here. */
const service = z.strictObject({
  image: z.string(),
  build: z.literal('.').optional(),
  pull_policy: z.literal('never').optional(),
  command: z.union([z.string(), z.array(z.string())]).optional(),
  user: z
    .string()
    .regex(/^\d+:\d+$/)
    .optional(),
  environment: z.record(z.string(), z.string()).optional(),
  ports: z.array(z.string().regex(/^127\.0\.0\.1:\d+:\d+$/)).optional(),
  volumes: z.array(z.string()).optional(),
  networks: z.array(z.string()).optional(),
  network_mode: z.literal('none').optional(),
  extra_hosts: z.array(z.string()).optional(),
  depends_on: dependsOn.optional(),
  deploy: z.strictObject({ replicas: z.number() }).optional(),
  healthcheck: z
    .strictObject({
      test: z.tuple([z.literal('CMD')], z.string()),
      interval: z.string(),
      timeout: z.string(),
      start_period: z.string().optional(),
    })
    .optional(),
  stop_grace_period: z.string().optional(),
  restart: z.enum(['unless-stopped', 'no']),
  read_only: z.literal(true),
  tmpfs: z.array(z.string()),
  cap_drop: z.tuple([z.literal('ALL')]),
  security_opt: z.tuple([z.literal('no-new-privileges:true')]),
});
const compose = z.strictObject({
  name: z.string(),
  services: z.record(z.string(), service),
  networks: z.record(z.string(), z.strictObject({ internal: z.boolean().optional() })),
  volumes: z.record(z.string(), z.strictObject({})),
});

describe('docker-compose.yml', () => {
  const document = parse(read('docker-compose.yml'), { merge: true });
  const { services, networks, volumes } = compose.parse(
    Object.fromEntries(Object.entries(document).filter(([name]) => !name.startsWith('x-'))),
  );
  const { api, worker, secrets, valkey } = services;

  it('has an API, two workers, a store and a mail catcher, each asked for its health', () => {
    expect(Object.keys(services)).toEqual(['api', 'worker', 'secrets', 'valkey', 'mailpit']);
    expect(worker?.deploy?.replicas).toBe(2);
    const asked = Object.values(services).filter(({ healthcheck }) => healthcheck !== undefined);
    expect(asked).toHaveLength(4);
    expect(api?.healthcheck?.test).toEqual(['CMD', 'node', 'src/cli.ts', 'health', 'ready']);
    // Without -e it calls one healthy that answers that it loads its data.
    expect(valkey?.healthcheck?.test).toEqual(['CMD', 'valkey-cli', '-e', 'ping']);
  });

  it('builds the image once, for what the others wait for, and these look for it nowhere else', () => {
    const own = [api, worker, secrets];
    expect(own.map((service) => [service?.image, service?.build, service?.pull_policy])).toEqual([
      ['postrider', undefined, 'never'],
      ['postrider', undefined, 'never'],
      ['postrider', '.', undefined],
    ]);
    for (const service of [api, worker]) expect(service?.depends_on).toHaveProperty('secrets');
    expect(Object.values(services).filter(({ build }) => build !== undefined)).toHaveLength(1);
  });

  it('names no service, network, volume or setting that is not there', () => {
    for (const { depends_on = {}, networks: joined = [], volumes: mounted = [], environment = {} } of Object.values(
      services,
    )) {
      for (const name of Object.keys(depends_on)) expect(services).toHaveProperty(name);
      for (const name of joined) expect(networks).toHaveProperty(name);
      for (const mount of mounted) expect(volumes).toHaveProperty(mount.split(':')[0] ?? '');
      expect(Object.keys(environment).filter((name) => !isSetting(name))).toEqual([]);
    }
  });

  it('makes secrets once, which come as files and make a configuration that production takes', () => {
    const [, program = ''] = secrets?.command ?? [];
    const here = (text: string) => text.replaceAll('/run/secrets/postrider', dir);
    const make = () =>
      execFileSync(process.execPath, ['--eval', here(program.replaceAll('$$', '$'))], { encoding: 'utf8' });
    make();
    const made = readdirSync(dir).map((name) => readFileSync(join(dir, name), 'utf8'));
    make();
    expect(readdirSync(dir).map((name) => readFileSync(join(dir, name), 'utf8'))).toEqual(made);
    for (const role of [api, worker]) {
      const env = Object.entries(role?.environment ?? {}).map(([name, value]) => [name, here(value)]);
      const config = readConfig({ NODE_ENV: 'production', ...Object.fromEntries(env) });
      expect(config.SECRET_KEY).toHaveLength(32);
      expect(parseDuration(role?.stop_grace_period ?? '')).toBeGreaterThan(config.SHUTDOWN_TIMEOUT + 3_000);
    }
  });

  it('runs a store that keeps its word', async () => {
    const [, ...args] = String(valkey?.command).split(' ');
    const here = args.map((arg) => (arg === '/data' ? dir : arg === "''" ? '' : arg));
    const socket = join(dir, 'redis.sock');
    await using server = startProcess(redisProgram(), [...here, '--port', '0', '--unixsocket', socket]);
    await server.printed(/ready to accept connections/i);
    const redis = new Redis({ path: socket });
    const wanted = { appendonly: 'yes', appendfsync: 'always', save: '', 'maxmemory-policy': 'noeviction' };
    for (const [name, value] of Object.entries(wanted)) expect(await redis.config('GET', name)).toEqual([name, value]);
    redis.disconnect();
  });
});
