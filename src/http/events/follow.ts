/**
 * One reader of the live stream, at its own place in the log. It is told from memory while it keeps up, and reads the log where it does not:
 * of what it has yet to take nothing is kept for it.
 */
import type { ApiKey } from '../../domain/api-key.ts';
import { isVisibleTo, type Reader } from '../../domain/event-feed.ts';
import type { EventsPage } from '../../pipeline/read-events.ts';
import { frameOf, gapFrame } from '../event-view.ts';
import { type Outlet, reconnectMs } from '../sse.ts';
import type { Broadcast, Listening } from './broadcast.ts';

export type FollowDeps = {
  readEvents(audience: Reader, after: string | null, limit: number): Promise<EventsPage>;
  onTrouble(part: 'event stream', error: unknown): void;
  /** How often a reader hears that its stream lives. */
  heartbeatMs: number;
  now(): number;
};

export type Follower = {
  readonly key: ApiKey;
  readonly audience: Reader;
  /** The place it knows already. */
  readonly place: string;
  readonly outlet: Outlet;
};

/** What is written next, and the place that is reached with it; the same place when there is nothing. */
type Step = { readonly texts: Iterable<string>; readonly place: string };

/** Events of the past read at a time: all that a slow reader has in memory. */
const pageSize = 100;
/** Characters written at once, so that a burst is few writes; a reader may be behind by this much. */
const mostWritten = 64 * 1024;
/** Wait after Redis was away. */
const troubleWaitMs = 1_000;

/** Resolves when the reader has gone, `stopping` is aborted, or its key was revoked, from when on it is told nothing. */
export async function follow(
  deps: FollowDeps & { broadcast: Pick<Broadcast, 'join'>; holds(keyId: string): Promise<boolean> },
  { key, audience, outlet, ...follower }: Follower,
  stopping: AbortSignal,
): Promise<void> {
  const over = AbortSignal.any([outlet.gone, stopping]);
  using live = deps.broadcast.join();
  let { place } = follower;
  let beatAt = deps.now() + deps.heartbeatMs;
  let isTrouble = false;
  // Who loses the connection before the first event comes back to where it was.
  await outlet.write(`retry: ${reconnectMs}\nid: ${place}\n\n`);
  while (!over.aborted) {
    if (deps.now() >= beatAt) {
      if (!(await deps.holds(key.id))) return;
      // An id without data moves the reader's place past what it has not asked for.
      await outlet.write(`:\nid: ${place}\n\n`);
      beatAt = deps.now() + deps.heartbeatMs;
    }
    const { count } = live;
    const step = await nextStep(deps, audience, place, live).catch((error: unknown) => {
      // Once per trouble, as every reader has it.
      if (!isTrouble) deps.onTrouble('event stream', error);
      return null;
    });
    isTrouble = step === null;
    for (const text of step?.texts ?? []) {
      if (!(await deps.holds(key.id))) return;
      await outlet.write(text);
    }
    if (step === null || step.place === place)
      await live.wait(count, Math.min(beatAt - deps.now(), isTrouble ? troubleWaitMs : Number.POSITIVE_INFINITY), over);
    place = step?.place ?? place;
  }
}

/** From memory where that reaches back to the place, else from the log. */
async function nextStep(deps: FollowDeps, audience: Reader, place: string, live: Listening): Promise<Step> {
  const casts = live.after(place, pageSize);
  if (casts !== null) {
    const heard = casts.filter((cast) => isVisibleTo(audience, cast)).map((cast) => cast.text());
    return { texts: inBursts(heard), place: casts.at(-1)?.cursor ?? place };
  }
  const past = await deps.readEvents(audience, place, pageSize);
  if (past.kind === 'gone') return { texts: [gapFrame(past.upTo)], place: past.upTo };
  return { texts: inBursts(past.items.map(frameOf)), place: past.next ?? place };
}

function* inBursts(frames: readonly string[]): Generator<string> {
  let burst = '';
  for (const frame of frames) {
    burst += frame;
    if (burst.length < mostWritten) continue;
    yield burst;
    burst = '';
  }
  if (burst !== '') yield burst;
}
