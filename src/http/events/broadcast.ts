/** The live end of the event feed: one watch on the log for all readers of this process, which runs only while there are readers. */
import { setTimeout as pause } from 'node:timers/promises';
import { compareCursors, type FeedItem } from '../../domain/event-feed.ts';
import { type FactsDeps, withFacts } from '../../pipeline/read-events.ts';
import type { EventFeed } from '../../store/event-feed.ts';
import { frameOf } from '../event-view.ts';

export type BroadcastDeps = FactsDeps & {
  eventFeed: Pick<EventFeed, 'newest' | 'watch'>;
  onTrouble(part: 'event stream', error: unknown): void;
};

/** An event on its way to readers, rendered once, when the first of them needs it. */
type Cast = FeedItem & { text(): string };

export type Broadcast = {
  readonly readers: number;
  join(): Listening;
};

export type Listening = Disposable & {
  /** The first `most` events after a place; null when they are not in memory and must be read from the log. */
  after(place: string, most: number): readonly Cast[] | null;
  /** Grows with every arrival of events. */
  readonly count: number;
  /** Waits until `count` differs from the one given, for `ms` at most. */
  wait(count: number, ms: number, gone: AbortSignal): Promise<void>;
};

/** Events read, and their facts loaded, in one round trip. */
const batchSize = 500;
/**
 * Events held in memory for all readers together, each of 20 KB at most: 4 of metadata, 12 of addresses. A reader that is further behind reads
 * the log.
 */
const mostHeld = 1_000;
/** Wait before the next try while Redis is away. */
const troubleWaitMs = 1_000;

export function openBroadcast(deps: BroadcastDeps): Broadcast {
  const wakers = new Set<() => void>();
  const held: Cast[] = [];
  /** The place before the first event held; null until the watch has begun. */
  let from: string | null = null;
  let count = 0;
  let readers = 0;
  let stop = new AbortController();

  function wakeAll(): void {
    count += 1;
    for (const wake of wakers) wake();
  }

  function hold(items: readonly FeedItem[]): void {
    held.push(...items.map(toCast));
    const dropped = held.splice(0, Math.max(0, held.length - mostHeld));
    from = dropped.at(-1)?.cursor ?? from;
    wakeAll();
  }

  /** Skips nothing while Redis is away: each round continues behind the last event held. */
  async function watch(stopped: AbortSignal): Promise<void> {
    await using log = deps.eventFeed.watch();
    stopped.addEventListener('abort', () => void log[Symbol.asyncDispose](), { once: true });
    let place: string | null = null;
    while (!stopped.aborted) {
      try {
        place ??= await begin(stopped);
        const entries = await log.next(place, batchSize);
        const items = await withFacts(deps, entries);
        if (stopped.aborted) return;
        if (items.length > 0) hold(items);
        place = entries.at(-1)?.place ?? place;
      } catch (error) {
        if (stopped.aborted) return;
        deps.onTrouble('event stream', error);
        await pause(troubleWaitMs, undefined, { signal: stopped }).catch(() => {});
      }
    }
  }

  async function begin(stopped: AbortSignal): Promise<string> {
    const place = await deps.eventFeed.newest();
    if (stopped.aborted) return place;
    from = place;
    wakeAll();
    return place;
  }

  function leave(): void {
    readers -= 1;
    if (readers > 0) return;
    stop.abort();
    held.length = 0;
    from = null;
  }

  return {
    get readers() {
      return readers;
    },
    join() {
      if (readers === 0) {
        stop = new AbortController();
        void watch(stop.signal);
      }
      readers += 1;
      return {
        after(place, most) {
          if (from === null || compareCursors(place, from) < 0) return null;
          const first = held.findLastIndex(({ cursor }) => compareCursors(cursor, place) <= 0) + 1;
          return held.slice(first, first + most);
        },
        get count() {
          return count;
        },
        async wait(known, ms, gone) {
          if (gone.aborted || count !== known) return;
          const { promise, resolve } = Promise.withResolvers<void>();
          const wake = () => resolve();
          const timer = setTimeout(wake, ms);
          wakers.add(wake);
          gone.addEventListener('abort', wake);
          await promise;
          clearTimeout(timer);
          wakers.delete(wake);
          gone.removeEventListener('abort', wake);
        },
        [Symbol.dispose]: leave,
      };
    },
  };
}

function toCast(item: FeedItem): Cast {
  let text: string | undefined;
  return {
    ...item,
    text: () => {
      text ??= frameOf(item);
      return text;
    },
  };
}
