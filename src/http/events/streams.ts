/** The live streams that are open in this process: so many at most, and all of them ended when it stops. */
import type { FastifyReply } from 'fastify';
import { ProblemError } from '../problems.ts';
import { openOutlet } from '../sse.ts';
import { type BroadcastDeps, openBroadcast } from './broadcast.ts';
import { type FollowDeps, type Follower, follow } from './follow.ts';

export type StreamDeps = FollowDeps & BroadcastDeps;

export type Streams = {
  /** Answers with a stream until its reader goes. @throws ProblemError when there are too many */
  answer(reply: FastifyReply, follower: Omit<Follower, 'outlet' | 'place'> & { place: string | null }): Promise<void>;
  /** Ends all of them, and whoever comes later at once. */
  close(): void;
};

export const usualBounds = {
  /** Each holds a connection and up to 64 KB that its reader has yet to take. */
  mostStreams: 1_000,
  /** A reader that takes nothing for so long is dropped; it finds its place again by its Last-Event-ID. */
  stallMs: 60_000,
};

export function openStreams(deps: StreamDeps, bounds: typeof usualBounds): Streams {
  const broadcast = openBroadcast(deps);
  const stopping = new AbortController();
  let open = 0;

  return {
    async answer(reply, { place, ...follower }) {
      if (open >= bounds.mostStreams)
        throw new ProblemError(
          'service_unavailable',
          `This process has ${bounds.mostStreams} event streams open, and takes no more`,
        );
      open += 1;
      try {
        const from = place ?? (await deps.eventFeed.newest());
        reply.hijack();
        const outlet = openOutlet(reply.raw, reply.getHeaders() as Record<string, string>, bounds.stallMs);
        stopping.signal.addEventListener('abort', outlet.end);
        await follow({ ...deps, broadcast }, { ...follower, place: from, outlet }, stopping.signal);
        stopping.signal.removeEventListener('abort', outlet.end);
        outlet.end();
      } finally {
        open -= 1;
      }
    },
    close: () => stopping.abort(),
  };
}
