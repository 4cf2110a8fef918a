/**
 * Serves one reader of the live stream, at its own place in the log: from memory while the reader keeps up, else from the log. Events that a
 * reader has not taken yet are not kept for it.
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
  /** How often a reader gets a sign that its stream lives. */
  heartbeatMs: number;
  now(): number;
};

export type Follower = {
  readonly key: ApiKey;
  readonly audience: Reader;
  /** The place the reader has read up to. */
  readonly place: string;
  readonly outlet: Outlet;
};

/** What to write next, and the place reached with it: the same place when there is nothing to write. */
type Step = { readonly text: string; readonly place: string; readonly told: number };

/** Events of the past read at a time: at most, and at first, since events may be large. */
const [pageSize, firstPageSize] = [100, 10];
/** Characters written at once, so that a burst takes few writes. A reader may be behind by this much and one event. */
const mostWritten = 64 * 1024;
/** Wait before the next try while Redis is away. */
const troubleWaitMs = 1_000;

/** Resolves when the reader has gone, `stopping` is aborted or the key was revoked. A revoked key gets no further event. */
export async function follow(
  deps: FollowDeps & { broadcast: Pick<Broadcast, 'join'>; isKeyValid(keyId: string): Promise<boolean> },
  { key, audience, outlet, ...follower }: Follower,
  stopping: AbortSignal,
): Promise<void> {
  const over = AbortSignal.any([outlet.gone, stopping]);
  using live = deps.broadcast.join();
  let { place } = follower;
  let most = firstPageSize;
  let beatAt = deps.now() + deps.heartbeatMs;
  let isTrouble = false;
  // A reader that loses its connection before the first event returns to the same place.
  await outlet.write(`retry: ${reconnectMs}\nid: ${place}\n\n`);
  while (!over.aborted) {
    if (deps.now() >= beatAt) {
      if (!(await deps.isKeyValid(key.id))) return;
      // An id without data moves the reader's place past events that it did not ask for.
      await outlet.write(`:\nid: ${place}\n\n`);
      beatAt = deps.now() + deps.heartbeatMs;
    }
    const { count } = live;
    const step = await nextStep(deps, audience, { place, most }, live).catch((error: unknown) => {
      // Reported once per outage, as every reader has the same one.
      if (!isTrouble) deps.onTrouble('event stream', error);
      return null;
    });
    isTrouble = step === null;
    if (step !== null && step.text !== '') {
      if (!(await deps.isKeyValid(key.id))) return;
      await outlet.write(step.text);
    }
    if (step === null || step.place === place)
      await live.wait(count, Math.min(beatAt - deps.now(), isTrouble ? troubleWaitMs : Number.POSITIVE_INFINITY), over);
    if (step === null) continue;
    place = step.place;
    // When events are large, few are read at a time: those that do not fit into the next burst would be read for nothing.
    most = Math.min(pageSize, Math.max(firstPageSize, 2 * step.told));
  }
}

/** From memory when that reaches back to the place, else from the log. */
async function nextStep(
  deps: FollowDeps,
  audience: Reader,
  { place, most }: { place: string; most: number },
  live: Listening,
): Promise<Step> {
  const casts = live.after(place, pageSize);
  if (casts !== null) {
    const heard = casts.filter((cast) => isVisibleTo(audience, cast));
    return burstOf(heard, (cast) => cast.text(), casts.at(-1)?.cursor ?? place);
  }
  const past = await deps.readEvents(audience, place, most);
  if (past.kind === 'gone') return { text: gapFrame(past.upTo), place: past.upTo, told: 0 };
  return burstOf(past.items, frameOf, past.next ?? place);
}

/**
 * Renders only as many events as are written at once, so that a slow reader holds nothing more in memory. The others are read again later.
 * @param end the place after all items
 */
function burstOf<T extends { readonly cursor: string }>(
  items: readonly T[],
  textOf: (item: T) => string,
  end: string,
): Step {
  let [text, told] = ['', 0];
  for (const item of items) {
    text += textOf(item);
    told += 1;
    if (text.length >= mostWritten && told < items.length) return { text, place: item.cursor, told };
  }
  return { text, place: end, told };
}
