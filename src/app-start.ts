/** Composition of a start that has to wait for Redis: it is said, whoever asks is answered, and production waits for one that is away as well. */
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
  /** Waits for what `open` opens or asks, also while that takes minutes. */
  awaits<T>(open: () => Promise<T>): Promise<T>;
};

/** Whoever looks at a start that takes so long is told what it waits for, and again now and then. */
const hesitationMs = 2_000;
const sayAgainMs = 30_000;
const tryAgainMs = 1_000;

/** Until it is disposed of, it listens where the roles of this process will, once it had to wait. */
export function openStart({ config, report, meters, cut }: Deps): Start {
  const port = config.ROLES.includes('api') ? config.PORT : config.HEALTH_PORT;
  const renderMetrics = () => meters.render(null);
  let server: ReturnType<typeof openStartServer> | null = null;

  /** @param why nothing but that it takes long is known, when it is null */
  async function say(why: string | null): Promise<void> {
    if (port !== undefined) server ??= openStartServer({ host: config.HOST, port, renderMetrics });
    // That the port is taken is said by what listens there in the end.
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
            // On a machine of one's own it is most likely not there, and will not be.
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
