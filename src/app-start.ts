/** Composition of a start that waits for Redis: reports the wait, answers health checks, and in production also waits while Redis is away. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from './config.ts';
import { openStartServer } from './http/start.ts';
import { isRedisAway } from './store/redis.ts';
import type { Meters } from './telemetry/meters.ts';
import type { Reports } from './telemetry/report.ts';

type Deps = {
  readonly config: Config;
  readonly report: Pick<Reports, 'awaited'>;
  readonly meters: Pick<Meters, 'render'>;
  /** Aborted to give up. */
  readonly cut: AbortSignal;
};

export type Start = AsyncDisposable & {
  /** Runs `open` and waits for it, even for minutes. */
  awaits<T>(open: () => Promise<T>): Promise<T>;
};

/** After `hesitationMs` the start says what it waits for, and then again every `sayAgainMs`. */
const hesitationMs = 2_000;
const sayAgainMs = 30_000;
const tryAgainMs = 1_000;

/** Once it has to wait, it listens on the port of this process' roles, until it is disposed of. */
export function openStart({ config, report, meters, cut }: Deps): Start {
  const port = config.ROLES.includes('api') ? config.PORT : config.HEALTH_PORT;
  const renderMetrics = () => meters.render(null);
  let server: ReturnType<typeof openStartServer> | null = null;

  /** @param why null when it is only known that it takes long */
  async function say(why: string | null): Promise<void> {
    if (port !== undefined) server ??= openStartServer({ host: config.HOST, port, renderMetrics });
    // If the port is taken, the role that listens there later says so.
    const opened = await server?.catch(() => null);
    report.awaited(why, opened?.url);
  }

  return {
    async awaits(open) {
      let why: string | null = null;
      const first = setTimeout(() => void say(why), hesitationMs);
      const again = setInterval(() => void say(why), sayAgainMs);
      try {
        for (;;) {
          try {
            return await open();
          } catch (error) {
            // In development Redis is most likely not running and will not come: fail at once.
            const waits = config.NODE_ENV === 'production' && !cut.aborted;
            if (!waits || !isRedisAway(error)) throw error;
            why = error.message;
          }
          await sleep(tryAgainMs, undefined, { signal: cut }).catch(() => {});
        }
      } finally {
        clearTimeout(first);
        clearInterval(again);
      }
    },
    async [Symbol.asyncDispose]() {
      await (await server?.catch(() => null))?.[Symbol.asyncDispose]();
      server = null;
    },
  };
}
