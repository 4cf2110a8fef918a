/** Composition of the connections to Redis: each is closed with the app, and tells when a write is refused. */
import type { Ground } from './app.ts';
import type { Start } from './app-start.ts';
import { makeNudge } from './concurrency/nudge.ts';
import { openRedis, type RedisPlace } from './store/redis.ts';

type Deps = {
  readonly start: Pick<Start, 'awaits'>;
  readonly cut: AbortSignal;
  readonly opened: AsyncDisposableStack;
};

export function makeConnections(
  place: RedisPlace,
  { start, cut, opened }: Deps,
): Pick<Ground, 'connect' | 'writeRefused'> {
  /** Nudged when Redis refuses a write as a replica does. */
  const writeRefused = makeNudge();
  const terms = { cut, onReadOnly: writeRefused.nudge };
  return {
    writeRefused,
    async connect(patience, use = 'store') {
      const redis = await start.awaits(() => openRedis(place, patience, { ...terms, use }));
      return opened.adopt(redis, () => redis.disconnect());
    },
  };
}
