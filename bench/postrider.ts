/** Postrider itself, as it runs in production: one process per role, over the benchmark's Redis and sink. */
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { smtpConnections } from './counts.ts';
import type { OwnRedis } from './own-redis.ts';
import { type Running, startProcess } from './processes.ts';

export type Api = AsyncDisposable & {
  readonly pid: number;
  readonly url: string;
};
export type Worker = AsyncDisposable & { readonly pid: number };

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));

export const apiKey = `pr_${randomBytes(24).toString('base64url')}`;
const secretKey = randomBytes(32).toString('hex');

/** @param more settings for it */
export async function startApi(redis: OwnRedis, smtpPort: number, more: Env = {}): Promise<Api> {
  const running = start('api', redis, smtpPort, '', more);
  const [, address] = await running.printed(/listening on (http:\/\/[^\s"]+)/);
  return {
    pid: running.pid,
    url: `${address}/v1/emails`,
    [Symbol.asyncDispose]: () => stop(running),
  };
}

/**
 * @param query of `SMTP_URL`, such as `rate=1/s`
 * @param more settings for this worker
 */
export async function startWorker(redis: OwnRedis, smtpPort: number, query = '', more: Env = {}): Promise<Worker> {
  const running = start('worker', redis, smtpPort, query, more);
  await running.printed(/worker is running/);
  return { pid: running.pid, [Symbol.asyncDispose]: () => stop(running) };
}

type Env = Readonly<Record<string, string>>;

function start(role: 'api' | 'worker', redis: OwnRedis, smtpPort: number, query = '', more: Env = {}): Running {
  const env = {
    NODE_ENV: 'production',
    ROLES: role,
    PORT: '0',
    LOG_LEVEL: 'warn',
    REDIS_URL: `unix://${redis.socket}`,
    SMTP_URL: `smtp://127.0.0.1:${smtpPort}?tls=none&connections=${smtpConnections}&${query}`,
    POSTRIDER_API_KEY: apiKey,
    SECRET_KEY: secretKey,
    // Bulk mail is given links to unsubscribe with.
    PUBLIC_URL: 'https://mail.example.com',
    WEBHOOK_ALLOW_PRIVATE_NETWORKS: 'true',
    ...more,
  };
  // BENCH_NODE_OPTIONS lets a profiler in, such as `--cpu-prof --cpu-prof-dir=...`.
  const options = (process.env.BENCH_NODE_OPTIONS ?? '').split(' ').filter((option) => option !== '');
  return startProcess(process.execPath, [...options, main], {
    cwd: redis.dir,
    env,
  });
}

/** At `warn` a healthy run prints nothing but its welcome, in one line; anything else belongs to whoever reads the result. */
async function stop(running: Running): Promise<void> {
  await running[Symbol.asyncDispose]();
  const logged = running
    .output()
    .split('\n')
    .filter((line) => line.startsWith('{') && !/listening on|is running/.test(line));
  if (logged.length > 0)
    process.stderr.write(`Postrider logged ${logged.length} lines:\n${logged.slice(0, 5).join('\n')}\n`);
}
