/**
 * Ends requests that do not arrive whole in time, or fall below a pace. An upload may take as long as its bytes keep coming. Node.js has only
 * one time limit for all requests.
 */
import type { IncomingMessage, Server } from 'node:http';
import { bodyless } from './bodies.ts';

/** From the head of a request to its last byte. */
export const wholeMs = 60_000;
/** How often the pace of a body is looked at. A mobile network that lets it pause for less does no harm. */
export const paceMs = 20_000;
/** Bytes that must come in that time, 240 a second. Otherwise a client that holds back the end of a body keeps its room all the time. */
export const paceBytes = 4_800;
/** How long an upload may pause. */
export const stillMs = 60_000;

/** Runs something later. @returns a function that cancels it */
export type After = (ms: number, run: () => void) => () => void;

const after: After = (ms, run) => {
  const timer = setTimeout(run, ms).unref();
  return () => clearTimeout(timer);
};

export type LateRequests = {
  /** Watches the requests of this server. */
  watch(server: Server): void;
  /** From now on this request is ended only after a pause without any bytes. */
  letFlow(request: IncomingMessage): void;
};

/** @param onLate called for each late request, of which no more is read */
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
    // The request must not still run while its client is told that it is late.
    request.socket.pause();
    onLate(request);
  }

  function keepPace(request: IncomingMessage, leftMs: number): void {
    const { bytesRead } = request.socket;
    wait(request, paceMs, () => {
      const isLate = leftMs <= paceMs || request.socket.bytesRead < bytesRead + paceBytes;
      if (isLate) end(request);
      else keepPace(request, leftMs - paceMs);
    });
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
        keepPace(request, wholeMs);
        request.once('close', () => pending.get(request)?.());
      });
    },
    letFlow,
  };
}
