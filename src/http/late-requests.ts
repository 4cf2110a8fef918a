/** Requests that do not come whole in time are ended; an upload has as long as its bytes flow. Node.js knows one time for all requests alone. */
import type { IncomingMessage, Server } from 'node:http';

/** From the head of a request to its last byte. */
export const wholeMs = 60_000;
/** Without a byte of an upload. */
export const stillMs = 60_000;

/** Runs something later. @returns what keeps it from that */
type After = (ms: number, run: () => void) => () => void;

const after: After = (ms, run) => {
  const timer = setTimeout(run, ms).unref();
  return () => clearTimeout(timer);
};

export type LateRequests = {
  /** From now on it is ended only once nothing comes of it any more. */
  letFlow(request: IncomingMessage): void;
};

/** Tells of those that are late as Node.js does, by `clientError`. */
export function endLateRequests(server: Server, later: After = after): LateRequests {
  const pending = new WeakMap<IncomingMessage, () => void>();

  function wait(request: IncomingMessage, ms: number, run: () => void): void {
    pending.get(request)?.();
    pending.set(
      request,
      later(ms, () => request.complete || run()),
    );
  }

  function end({ socket }: IncomingMessage): void {
    server.emit('clientError', Object.assign(new Error('late'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' }), socket);
  }

  function letFlow(request: IncomingMessage): void {
    const { bytesRead } = request.socket;
    wait(request, stillMs, () => (request.socket.bytesRead > bytesRead ? letFlow(request) : end(request)));
  }

  server.on('request', (request: IncomingMessage) => {
    const { headers } = request;
    if (headers['content-length'] === undefined && headers['transfer-encoding'] === undefined) return;
    wait(request, wholeMs, () => end(request));
    request.once('close', () => pending.get(request)?.());
  });
  return { letFlow };
}
