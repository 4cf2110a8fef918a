/** Answers to what is no HTTP request, or too much of one: as problems too, written to the socket since there is no request to answer. */
import type { Duplex } from 'node:stream';
import { makeProblem } from '../domain/problem.ts';

const tooSlow = 'The request did not come whole in time';
const tooMuch = 'The head of the request is larger than the 16384 bytes that are read';
const noHttp = 'The request is not HTTP as it should be';

export function answerClientError(error: Error & { readonly code?: string }, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const isLate = error.code === 'ERR_HTTP_REQUEST_TIMEOUT';
  const detail = isLate ? tooSlow : error.code === 'HPE_HEADER_OVERFLOW' ? tooMuch : noHttp;
  const problem = makeProblem(isLate ? 'request_timeout' : 'unreadable_request', detail, '');
  const body = JSON.stringify(problem);
  const head = [
    `HTTP/1.1 ${isLate ? '408 Request Timeout' : '400 Bad Request'}`,
    'Content-Type: application/problem+json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}
