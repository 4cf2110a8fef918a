/** The live stream of the dev inbox (server-sent events): any number of readers, one watch on the inbox for all of them. */
import type { ServerResponse } from 'node:http';
import type { Inbox, InboxWatch } from '../../store/inbox.ts';

type Deps = { inbox: Pick<Inbox, 'watch'> };

export type Feed = {
  /** Streams to `reader` until it goes or the feed is closed. */
  join(reader: ServerResponse, headers: Record<string, string>): Promise<void>;
  close(): void;
};

/** Tells both ends that the other is still there; proxies drop a stream that is silent for a minute. */
const heartbeatMs = 15_000;
/** Bytes a reader may be behind before it is dropped; it comes back by itself and looks at the whole list then. */
const maxBehindBytes = 64 * 1024;
const reconnectMs = 1_000;

export function openFeed({ inbox }: Deps): Feed {
  const readers = new Set<ServerResponse>();
  let watch: InboxWatch | null = null;
  let heartbeat: NodeJS.Timeout | undefined;

  function write(text: string): void {
    for (const reader of readers) {
      if (!reader.headersSent) continue;
      if (reader.writableLength > maxBehindBytes) reader.destroy();
      else reader.write(text);
    }
  }

  function start(): InboxWatch {
    heartbeat = setInterval(() => write(':\n\n'), heartbeatMs);
    return inbox.watch((id) => write(id === null ? toEvent('reset', {}) : toEvent('mail', { id })));
  }

  function leave(reader: ServerResponse): void {
    if (!readers.delete(reader) || readers.size > 0) return;
    clearInterval(heartbeat);
    void watch?.[Symbol.asyncDispose]();
    watch = null;
  }

  return {
    async join(reader, headers) {
      readers.add(reader);
      reader.once('close', () => leave(reader));
      watch ??= start();
      try {
        await watch.ready;
      } catch {
        reader.destroy();
      }
      if (reader.destroyed) return;
      // Answered only now: a page that is told it is live misses nothing from here on.
      reader.writeHead(200, { ...headers, 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' });
      reader.write(`retry: ${reconnectMs}\n\n`);
    },

    close() {
      for (const reader of readers) {
        if (reader.headersSent) reader.end();
        else reader.destroy();
        leave(reader);
      }
    },
  };
}

function toEvent(name: string, data: unknown): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}
