/** The live streams that are open in this process: their number is limited, and all of them end when the process stops. */
import type { FastifyReply } from 'fastify';
import { openKeyCheck } from '../key-checks.ts';
import { ProblemError } from '../problems.ts';
import { openOutlet } from '../sse.ts';
import { type BroadcastDeps, openBroadcast } from './broadcast.ts';
import { type FollowDeps, type Follower, follow } from './follow.ts';

export type StreamDeps = FollowDeps & BroadcastDeps & { apiKeys: { get(id: string): Promise<unknown> } };

type Streams = {
  /**
   * Answers with a stream until its reader goes.
   * @throws ProblemError when there are too many streams, of all keys, or of this one and those counted with it
   */
  answer(reply: FastifyReply, follower: Omit<Follower, 'outlet' | 'place'> & { place: string | null }): Promise<void>;
  /** Ends all streams, and from now on each new one at once. */
  close(): void;
};

/** Seconds after which a key with too many streams may ask again. */
const askAgainSeconds = 60;

export const usualBounds = {
  /** Each holds a connection, and up to 64 KB and one event that its reader has not taken yet. */
  mostStreams: 1_000,
  /** Streams of one key and those that it made: no reader may use up all of them. */
  mostOfKey: 100,
  /** A reader that takes nothing for this long is dropped. With Last-Event-ID it returns to its place. */
  stallMs: 60_000,
};

export function openStreams(deps: StreamDeps, bounds: typeof usualBounds): Streams {
  const broadcast = openBroadcast(deps);
  const isKeyValid = openKeyCheck(deps.apiKeys);
  const stopping = new AbortController();
  let open = 0;
  /** By the first of the keys that made each other. */
  const ofKeys = new Map<string, number>();

  function count(rootId: string, by: 1 | -1): void {
    open += by;
    const ofKey = (ofKeys.get(rootId) ?? 0) + by;
    if (ofKey === 0) ofKeys.delete(rootId);
    else ofKeys.set(rootId, ofKey);
  }

  return {
    async answer(reply, { place, ...follower }) {
      if (open >= bounds.mostStreams)
        throw new ProblemError(
          'service_unavailable',
          `This process has ${bounds.mostStreams} event streams open, and takes no more`,
        );
      const { rootId } = follower.key;
      if ((ofKeys.get(rootId) ?? 0) >= bounds.mostOfKey) {
        reply.header('retry-after', askAgainSeconds);
        throw new ProblemError(
          'rate_limit_exceeded',
          `This key, with those it made and that made it, has ${bounds.mostOfKey} event streams open here, and gets no more`,
        );
      }
      count(rootId, 1);
      try {
        const from = place ?? (await deps.eventFeed.newest());
        reply.hijack();
        const outlet = openOutlet(reply.raw, reply.getHeaders() as Record<string, string>, bounds.stallMs);
        stopping.signal.addEventListener('abort', outlet.end);
        await follow({ ...deps, broadcast, isKeyValid }, { ...follower, place: from, outlet }, stopping.signal);
        stopping.signal.removeEventListener('abort', outlet.end);
        outlet.end();
      } finally {
        count(rootId, -1);
      }
    },
    close: () => stopping.abort(),
  };
}
