/** Composition of the connections to Redis, a local one where none is configured: each is closed with the app, and tells when a write is refused. */
import type { Common } from './app.ts';
import type { Start } from './app-start.ts';
import { newUuid, ownNow } from './chance.ts';
import { makeNudge } from './concurrency/nudge.ts';
import type { Config } from './config.ts';
import { openLocalRedis } from './store/local-redis.ts';
import { openRedis } from './store/redis.ts';

type Deps = {
  readonly start: Pick<Start, 'awaits'>;
  readonly cut: AbortSignal;
  readonly opened: AsyncDisposableStack;
};

type Connections = Pick<Common, 'connect' | 'writeRefused'> & {
  /** Stops a local Redis that no other process uses, while this one is not closed. */
  abandon(): Promise<void>;
};

export async function openConnections(config: Config, { start, cut, opened }: Deps): Promise<Connections> {
  const openLocal = () => openLocalRedis(config.DATA_DIR, { ownNow, newUuid }, cut);
  const configured =
    config.REDIS_URL === undefined ? null : { url: config.REDIS_URL, async [Symbol.asyncDispose]() {} };
  const server = configured ?? opened.use(await start.awaits(openLocal));
  const place = { url: server.url, ca: config.REDIS_CA };
  /** Nudged when Redis refuses a write as one that takes none now. */
  const writeRefused = makeNudge();
  const terms = { cut, onWriteRefused: writeRefused.nudge };
  return {
    writeRefused,
    async connect(patience, use = 'store') {
      const redis = await start.awaits(() => openRedis(place, patience, { ...terms, use }));
      return opened.adopt(redis, () => redis.disconnect());
    },
    async abandon() {
      await server[Symbol.asyncDispose]();
    },
  };
}
