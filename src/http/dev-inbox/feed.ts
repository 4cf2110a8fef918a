/** The live stream of the dev inbox (server-sent events): one watch on the inbox serves any number of readers. */
import type { ServerResponse } from 'node:http';
import type { Inbox, InboxWatch } from '../../store/inbox.ts';
import { endWithReader, heartbeatMs, reconnectMs, streamHeaders, toFrame } from '../sse.ts';

type Deps = { inbox: Pick<Inbox, 'watch'> };

type Feed = {
  /** Streams to `reader` until it goes or the feed is closed. */
  join(reader: ServerResponse, headers: Record<string, string>): Promise<void>;
  close(): void;
};

/** Bytes a reader may be behind before it is dropped. It reconnects by itself and then reads the whole list. */
const maxBehindBytes = 64 * 1024;

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
    return inbox.watch((id) =>
      write(
        id === null
          ? toFrame({ event: 'reset', data: '{}' })
          : toFrame({ event: 'mail', data: JSON.stringify({ id }) }),
      ),
    );
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
      endWithReader(reader);
      watch ??= start();
      try {
        await watch.ready;
      } catch {
        reader.destroy();
      }
      if (reader.destroyed) return;
      // The answer begins only now: from here on the page misses nothing, so it may say that it is live.
      reader.writeHead(200, { ...headers, ...streamHeaders });
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
