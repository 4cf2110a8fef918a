/** The image, built by buildah from the Dockerfile, and containers of it: no engine is needed, only root and Linux. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Running, startProcess } from './processes.ts';

/** A local image in place of node:24-slim, where that cannot be pulled: Debian with Node.js and npm. */
const base = process.env.POSTRIDER_TEST_BASE;
export const withoutBuildah =
  'the image is built where buildah is, this is root, and POSTRIDER_TEST_BASE names a base image that is here';
export const canBuild =
  base !== undefined && process.getuid?.() === 0 && spawnSync('buildah', ['--version']).status === 0;

const root = fileURLToPath(new URL('../..', import.meta.url));
const buildah = (...args: string[]) =>
  execFileSync('buildah', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 2 ** 26 }).trim();

export type ImageConfig = {
  readonly User: string;
  readonly Env: readonly string[];
  readonly Entrypoint: readonly string[];
  readonly Cmd: readonly string[];
  readonly Labels: Readonly<Record<string, string>>;
  /** Its times are in nanoseconds. */
  readonly Healthcheck: { readonly Test: readonly string[]; readonly Interval: number; readonly Timeout: number };
};

export type Container = Running & {
  /** The pid, seen from here, of its process 1. */
  first(): number;
  /** Runs a command in it, as its user and with its environment. */
  exec(command: readonly string[], env?: Readonly<Record<string, string>>): { status: number | null; printed: string };
};

export type Image = AsyncDisposable & {
  readonly config: ImageConfig;
  /** Where its files are. */
  readonly files: string;
  /** Runs it as an engine does that was told `--read-only --tmpfs /tmp --cap-drop ALL`, on this machine's network; `volume` is at /tmp/volume. */
  run(env: Readonly<Record<string, string>>, volume: string): Container;
};

/** In namespaces of its own. What is given to it: files, volume, user, then the command with its environment. */
const container = `set -e
files=$1 volume=$2 user=$3; shift 3
mount --make-rprivate /
mount --bind "$files" "$files"
mount -t proc proc "$files/proc"
mount -t tmpfs -o size=16m,mode=1777 tmpfs "$files/tmp"
mount --bind /dev "$files/dev"
mkdir "$files/tmp/volume" && mount --bind "$volume" "$files/tmp/volume"
mount -o remount,ro,bind "$files"
exec setpriv --no-new-privs chroot --userspec="$user" "$files" /usr/bin/env -i -C /srv/postrider "$@"`;

/** What is built from, as in a clone that was made under a umask by which nobody else may read it. */
const cloned = `umask 077 && cp -R .dockerignore Dockerfile LICENSE package.json package-lock.json src "$1"`;

/** @param buildArgs what is asked of the build besides its base */
export async function openImage(buildArgs: Readonly<Record<string, string>>): Promise<Image> {
  const name = 'localhost/postrider-test';
  const isolated = ['--format', 'docker', '--isolation', 'chroot', '--network', 'host'];
  const asked = pairs({ BASE: base ?? '', ...buildArgs }).flatMap((pair) => ['--build-arg', pair]);
  const clone = mkdtempSync(join(tmpdir(), 'pr-clone-'));
  try {
    execFileSync('sh', ['-c', cloned, 'sh', clone], { cwd: root });
    buildah('build', ...isolated, ...asked, '--tag', name, clone);
  } finally {
    rmSync(clone, { recursive: true });
  }
  const { Docker } = JSON.parse(buildah('inspect', '--type', 'image', name));
  const config: ImageConfig = Docker.config;
  const working = buildah('from', name);
  const files = buildah('mount', working);
  return {
    config,
    files,
    run: (env, volume) => runContainer({ config, files, env, volume }),
    async [Symbol.asyncDispose]() {
      buildah('rm', working);
      buildah('rmi', name);
    },
  };
}

type Place = Pick<Image, 'config' | 'files'> & { env: Readonly<Record<string, string>>; volume: string };

function runContainer({ config, files, env, volume }: Place): Container {
  const own = [...config.Env, ...pairs(env)];
  const command = [...own, ...config.Entrypoint, ...config.Cmd];
  const isolated = ['--mount', '--pid', '--fork', 'sh', '-c', container, 'sh', files, volume, config.User];
  const running = startProcess('unshare', [...isolated, ...command]);
  const first = () => Number(readFileSync(`/proc/${running.pid}/task/${running.pid}/children`, 'utf8').trim());
  return {
    ...running,
    first,
    exec(asked, more = {}) {
      const inside = ['--target', String(first()), '--mount', '--pid', 'chroot', `--userspec=${config.User}`, files];
      const asUser = [...inside, '/usr/bin/env', '-i', '-C', '/srv/postrider', ...own, ...pairs(more), ...asked];
      const { status, stdout, stderr } = spawnSync('nsenter', asUser, { encoding: 'utf8' });
      return { status, printed: `${stdout}${stderr}` };
    },
    async [Symbol.asyncDispose]() {
      // With its process 1 all of it ends; without it the rest would live on, and hold what it prints to open.
      if (existsSync(`/proc/${running.pid}`) && first() > 0) process.kill(first(), 'SIGKILL');
      await running.ended;
    },
  };
}

function pairs(env: Readonly<Record<string, string>>): string[] {
  return Object.entries(env).map(([name, value]) => `${name}=${value}`);
}
