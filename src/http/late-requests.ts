/** Requests that do not come whole in time are ended; an upload has as long as its bytes flow. Node.js knows one time for all requests alone. */
import type { IncomingMessage, Server } from 'node:http';
import { bodyless } from './bodies.ts';

/** From the head of a request to its last byte. */
export const wholeMs = 60_000;
/** Without a byte of an upload. */
export const stillMs = 60_000;

/** Runs something later. @returns what keeps it from that */
export type After = (ms: number, run: () => void) => () => void;

const after: After = (ms, run) => {
  const timer = setTimeout(run, ms).unref();
  return () => clearTimeout(timer);
};

export type LateRequests = {
  /** Looks after the requests of this server. */
  watch(server: Server): void;
  /** From now on it is ended only once nothing comes of it any more. */
  letFlow(request: IncomingMessage): void;
};

/** @param onLate told of each; no more of it is read */
export function makeLateRequests(onLate: (request: IncomingMessage) => void, later: After = after): LateRequests {
  const pending = new WeakMap<IncomingMessage, () => void>();

  function wait(request: IncomingMessage, ms: number, run: () => void): void {
    pending.get(request)?.();
    pending.set(
      request,
      later(ms, () => request.complete || run()),
    );
  }

  function end(request: IncomingMessage): void {
    // It must not be carried out after all while its client is told that it is late.
    request.socket.pause();
    onLate(request);
  }

  function letFlow(request: IncomingMessage): void {
    const { bytesRead } = request.socket;
    wait(request, stillMs, () => (request.socket.bytesRead > bytesRead ? letFlow(request) : end(request)));
  }

  return {
    watch(server) {
      server.on('request', (request: IncomingMessage) => {
        const { headers, method = '' } = request;
        if (bodyless.has(method)) return;
        if (headers['content-length'] === undefined && headers['transfer-encoding'] === undefined) return;
        wait(request, wholeMs, () => end(request));
        request.once('close', () => pending.get(request)?.());
      });
    },
    letFlow,
  };
}
