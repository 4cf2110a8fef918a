/** The Dockerfile, as far as it can be held without an engine: what gets in, who runs it, and that its names are ours. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import packageJson from '../package.json' with { type: 'json' };
import { startPostrider } from './support/postrider.ts';
import { startProcess } from './support/processes.ts';
import { openTestRedis } from './support/redis.ts';
import { isSetting } from './support/setting-names.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');

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

  it('can be read completely by the user that runs it, whatever the umask of the clone', () => {
    const copies = lines.filter((line) => line.startsWith('COPY ') && !line.includes('--from='));
    const copied = copies.flatMap((line) => line.split(' ').slice(1, -1));
    const readable = `RUN chmod --recursive u=rwX,go=rX ${copied.join(' ')}`;
    const user = lines.findIndex((line) => line.startsWith('USER '));
    expect(lines.slice(lines.indexOf(copies.at(-1) ?? ''), user)).toContain(readable);
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

  it('runs under an init process, as an unprivileged user, in production', () => {
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
    expect([env.PORT, env.HEALTH_PORT]).toEqual([last('EXPOSE'), last('EXPOSE')]);
  });

  it('what Node.js compiles beforehand is compiled as the user that runs it: no other user would find it', () => {
    const compiled = lines.findIndex((line) => line.startsWith('RUN node '));
    const users = lines.slice(0, compiled).filter((line) => line.startsWith('USER '));
    expect(compiled).toBeGreaterThan(0);
    expect(users.at(-1)).toBe(`USER ${last('USER')}`);
  });

  it('everything that a role loads at its start is compiled beforehand, except the one file that would run', async () => {
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

  it('checks its health with our own command, and often enough to act on it', () => {
    const [flags = '', command = ''] = last('HEALTHCHECK').split(' CMD ');
    expect(JSON.parse(command)).toEqual(['node', 'src/cli.ts', 'health']);
    const times = Object.fromEntries([...flags.matchAll(/--(\S+)=(\S+)/g)].map(([, name, time]) => [name, time]));
    expect(times).toEqual({ interval: '30s', timeout: '5s', 'start-period': '60s' });
  });

  it('has the labels that package.json and the build arguments give', () => {
    expect(all('ARG').slice(1)).toEqual([`VERSION=${packageJson.version}`, 'REVISION=', 'CREATED=']);
    const labels = [...last('LABEL').matchAll(/org\.opencontainers\.image\.(\w+)="([^"]*)"/g)];
    expect(Object.fromEntries(labels.map(([, name, value]) => [name, value]))).toEqual({
      title: 'Postrider',
      description: packageJson.description,
      licenses: packageJson.license,
      version: '$' + '{VERSION}',
      revision: '$' + '{REVISION}',
      created: '$' + '{CREATED}',
    });
  });
});
