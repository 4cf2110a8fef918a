/**
 * Answers what is not valid HTTP, too large or too late with a problem too, written to the socket: no request object exists for it. Then the
 * connection ends.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { makeProblem } from '../domain/problem.ts';
import { problemTypeFor } from './problem-media.ts';

export const lateCode = 'ERR_HTTP_REQUEST_TIMEOUT';

const tooSlow = 'The request was not received in time: all of it within 60 s, and 4,800 bytes or the rest in each 20 s';
const tooMuch = 'The head of the request is larger than the 16384 bytes that are read';
const noHttp = 'The request is not HTTP as it should be';

/** Time for a client to read its last answer while it still sends. After that the connection is destroyed, and what its request took is free. */
const lingerMs = 1_000;

type ClientError = Error & { readonly code?: string };

type Exchange = { readonly request: IncomingMessage; readonly response: ServerResponse };

type ClientErrors = {
  /** Answers the client errors of this server. */
  watch(server: Server): void;
  answer(error: ClientError, socket: Duplex): void;
};

export function makeClientErrors(): ClientErrors {
  /** Requests and their answers by connection. Finished ones are removed when the next request comes. */
  const exchanges = new WeakMap<Duplex, readonly Exchange[]>();
  const ending = new WeakSet<Duplex>();

  function answer(error: ClientError, socket: Duplex): void {
    if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
    // On a connection that cannot be parsed, everything that follows raises an error again.
    if (ending.has(socket)) return;
    ending.add(socket);
    void endWith(error, socket, exchanges.get(socket) ?? []);
  }

  return {
    watch(server) {
      server.on('request', (request: IncomingMessage, response: ServerResponse) => {
        const open = exchanges.get(request.socket)?.filter((exchange) => !isOver(exchange)) ?? [];
        open.push({ request, response });
        exchanges.set(request.socket, open);
      });
      server.on('clientError', answer);
    },
    answer,
  };
}

function isOver({ request, response }: Exchange): boolean {
  return request.complete && response.writableFinished;
}

/** An answer with a head and no end yet, such as an event stream: nothing may be written into the middle of it. */
function isUnderWay({ response }: Exchange): boolean {
  return response.headersSent && !response.writableEnded;
}

/** Requests that came before on the same connection are answered first. */
async function endWith(error: ClientError, socket: Duplex, exchanges: readonly Exchange[]): Promise<void> {
  if (exchanges.some(isUnderWay)) return void socket.destroy();
  await Promise.all(exchanges.filter(({ request }) => request.complete).map(whenAnswered));
  // Only the last request can be incomplete.
  const broken = exchanges.find(({ request }) => !request.complete);
  if (!socket.writable || (broken !== undefined && isUnderWay(broken))) return void socket.destroy();
  if (broken?.response.headersSent) socket.end();
  else socket.end(answerTo(error, broken?.request.headers.accept));
  setTimeout(() => socket.destroy(), lingerMs).unref();
}

function whenAnswered({ response }: Exchange): Promise<void> {
  return new Promise((resolve) => {
    if (response.writableFinished || response.destroyed) resolve();
    else response.once('close', resolve);
  });
}

function answerTo({ code }: ClientError, accept: string | undefined): string {
  const isLate = code === lateCode;
  const detail = isLate ? tooSlow : code === 'HPE_HEADER_OVERFLOW' ? tooMuch : noHttp;
  const body = JSON.stringify(makeProblem(isLate ? 'request_timeout' : 'unreadable_request', detail, ''));
  const head = [
    `HTTP/1.1 ${isLate ? '408 Request Timeout' : '400 Bad Request'}`,
    `Content-Type: ${problemTypeFor(accept)}`,
    'Vary: Accept',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}
