/** docker-compose.yml, as far as it can be held without an engine: its parts find each other, and are what is told of them. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { readConfig } from '../src/config.ts';
import { parseDuration } from '../src/domain/duration.ts';
import { readDocument, sectionOf } from './support/documents.ts';
import { testKeys } from './support/postrider.ts';
import { startProcess } from './support/processes.ts';
import { redisProgram } from './support/redis.ts';
import { isSetting } from './support/setting-names.ts';

const dir = mkdtempSync(join(tmpdir(), 'pr-compose-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

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
  /** What is null is taken from the environment of who starts it, if it is there. */
  environment: z.record(z.string(), z.string().nullable()).optional(),
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
  const text = readDocument('docker-compose.yml');
  const document = parse(text, { merge: true });
  /** To whoever opens the file, and to whoever reads about it. */
  const [head = ''] = text.split('\nname:');
  const readme = sectionOf(readDocument('README.md'), '## In containers');
  const { services, networks, volumes } = compose.parse(
    Object.fromEntries(Object.entries(document).filter(([name]) => !name.startsWith('x-'))),
  );
  const { api, worker, secrets, valkey, mailpit } = services;
  const roles = { api, worker };

  it('has an API, two workers, a store and a mail catcher, each asked for its health', () => {
    expect(Object.keys(services)).toEqual(['api', 'worker', 'secrets', 'valkey', 'mailpit']);
    expect(worker?.deploy?.replicas).toBe(2);
    const asked = Object.values(services).filter(({ healthcheck }) => healthcheck !== undefined);
    expect(asked).toHaveLength(4);
    expect(api?.healthcheck?.test).toEqual(['CMD', 'node', 'src/cli.ts', 'health', 'ready']);
    for (const { healthcheck } of asked) {
      const [interval, timeout] = [healthcheck?.interval, healthcheck?.timeout].map((time = '') => parseDuration(time));
      expect(interval).toBeLessThanOrEqual(10_000);
      expect(timeout).toBeLessThan(interval ?? 0);
    }
    // Without -e it calls one healthy that answers that it loads its data.
    expect(valkey?.healthcheck?.test).toEqual(['CMD', 'valkey-cli', '-e', 'ping']);
  });

  it('builds the image once, in a service that the others wait for, and these pull it from nowhere', () => {
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

  it('each role is what its name says, listens where the image does, and reaches the store, the catcher and you', () => {
    for (const [name, role] of Object.entries(roles)) {
      expect(role?.environment).toMatchObject({
        ROLES: name,
        REDIS_URL: 'redis://valkey:6379',
        SMTP_URL: 'smtp://mailpit:1025?tls=none',
        WEBHOOK_ALLOW_PRIVATE_NETWORKS: 'true',
      });
      for (const decided of ['NODE_ENV', 'HOST', 'PORT', 'HEALTH_PORT', 'DATA_DIR'])
        expect(role?.environment).not.toHaveProperty(decided);
      expect(role?.networks).toEqual(['store', 'default']);
      // Both POST to webhooks: a worker what happened, the API what a test sends.
      expect(role?.extra_hosts).toEqual(['host.docker.internal:host-gateway']);
    }
    expect(valkey?.networks).toEqual(['store']);
    expect(networks.store).toEqual({ internal: true });
    expect(mailpit?.networks).toBeUndefined();
  });

  it('publishes only the documented ports to your machine', () => {
    const opened = Object.entries(services).flatMap(([name, { ports = [] }]) => ports.map((port) => [name, port]));
    expect(opened).toEqual([
      ['api', '127.0.0.1:8080:8080'],
      ['mailpit', '127.0.0.1:8025:8025'],
    ]);
    for (const told of [head, readme]) {
      const ports = [...told.matchAll(/http:\/\/127\.0\.0\.1:(\d+)/g)].map(([, port]) => port);
      expect(ports).toEqual(['8080', '8025']);
    }
  });

  it('says how to get the key that it made', () => {
    const command = `docker compose exec api cat ${api?.environment?.POSTRIDER_API_KEY_FILE}`;
    for (const told of [head, readme]) expect(told).toContain(command);
  });

  it('takes the PUBLIC_URL that bulk mail needs from the shell that starts it, as documented', () => {
    for (const role of Object.values(roles)) expect(role?.environment).toHaveProperty('PUBLIC_URL', null);
    const [, url = ''] = /`PUBLIC_URL=(\S+) docker compose up`/.exec(readme) ?? [];
    const settings = { NODE_ENV: 'production', ...testKeys, SMTP_URL: 'smtp://127.0.0.1:9?tls=none' };
    expect(readConfig({ ...settings, PUBLIC_URL: url }).publicUrl).toBe(url);
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
    for (const role of Object.values(roles)) {
      const env = Object.entries(role?.environment ?? {}).map(([name, value]) => [name, here(value ?? '')]);
      const config = readConfig({ NODE_ENV: 'production', ...Object.fromEntries(env) });
      expect(config.SECRET_KEY).toHaveLength(32);
      expect(parseDuration(role?.stop_grace_period ?? '')).toBeGreaterThan(config.SHUTDOWN_TIMEOUT + 3_000);
    }
  });

  it('runs a store that keeps its word', async () => {
    const [, ...args] = String(valkey?.command).split(' ');
    expect(valkey?.volumes).toEqual([`valkey:${args[args.indexOf('--dir') + 1]}`]);
    expect(args).not.toContain('--port');
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
