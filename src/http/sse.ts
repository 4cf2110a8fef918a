/** Server-sent events (WHATWG HTML, section 9.2): their form, and an answer that is written as fast as its reader takes it. */
import type { ServerResponse } from 'node:http';

/** How often a stream writes something. It shows each end that the other is there; proxies drop a stream that is silent for a minute. */
export const heartbeatMs = 15_000;
/** How long a reader waits before it reconnects, unless it decides itself. */
export const reconnectMs = 1_000;

/** `no-store` and `x-accel-buffering` keep caches and proxies from holding events back. */
export const streamHeaders = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store',
  'x-accel-buffering': 'no',
} as const;

/** @param data JSON without line breaks, as JSON.stringify makes it */
export function toFrame({ id, event, data }: { id?: string; event: string; data: string }): string {
  return `${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${data}\n\n`;
}

export type Outlet = {
  /** Aborted when the reader has gone or was dropped. */
  readonly gone: AbortSignal;
  /** Resolves when the reader can take more. A reader that takes nothing for too long is dropped. */
  write(text: string): Promise<void>;
  end(): void;
};

/**
 * Ends the answer when the reader closes its half of the connection. That shows that it has gone; else the endless answer would be written until
 * the next heartbeat fails. A client that only closes its sending half looks the same, and gets no stream.
 */
export function endWithReader(response: ServerResponse): void {
  const { socket } = response.req;
  const end = () => void response.destroy();
  if (socket.readableEnded) end();
  socket.once('end', end);
  response.once('close', () => socket.off('end', end));
}

/**
 * Answers 200 and keeps the answer open.
 * @param stallMs how long a reader may take nothing
 */
export function openOutlet(response: ServerResponse, headers: Record<string, string>, stallMs: number): Outlet {
  const gone = new AbortController();
  endWithReader(response);
  response.once('close', () => gone.abort());
  if (response.destroyed) gone.abort();
  response.writeHead(200, { ...headers, ...streamHeaders });
  response.flushHeaders();

  return {
    gone: gone.signal,
    async write(text) {
      if (gone.signal.aborted || response.writableEnded || response.write(text)) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      const stalled = setTimeout(() => response.destroy(), stallMs);
      const goOn = () => resolve();
      response.on('drain', goOn).on('close', goOn);
      await promise;
      clearTimeout(stalled);
      response.off('drain', goOn).off('close', goOn);
    },
    end() {
      response.end();
    },
  };
}
