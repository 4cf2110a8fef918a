/** Refuses a request by its head alone, whatever its route. */
import type { IncomingMessage } from 'node:http';
import type { FastifyRequest } from 'fastify';
import { ProblemError } from './problems.ts';

/** @throws ProblemError */
export function checkHead({ raw }: FastifyRequest): void {
  const hosts = linesOf(raw, 'host');
  // RFC 9112 section 3.2.
  if (hosts > 1 || (hosts === 0 && isHttp11(raw)))
    throw new ProblemError('unreadable_request', `Send one Host header: this request has ${hosts}`);
  if (isHttp11(raw) && raw.headers.expect !== undefined && !asksToContinue(raw))
    throw new ProblemError('expectation_failed', 'Expect may be 100-continue');
  // Node.js passes on a body with any other coding unread. It refuses by itself a coding that does not end with chunked.
  if ((raw.headers['transfer-encoding'] ?? 'chunked').toLowerCase() !== 'chunked')
    throw new ProblemError('unreadable_request', 'Transfer-Encoding may be chunked');
  // Node.js would join them into one value that nobody sent.
  if (linesOf(raw, 'idempotency-key') > 1)
    throw new ProblemError('invalid_idempotency_key', 'Send one Idempotency-Key: this request has several');
}

/** Whether the client sends its body only after it is told to (RFC 9110 section 10.1.1). */
export function asksToContinue(raw: IncomingMessage): boolean {
  return isHttp11(raw) && /(?:^|\W)100-continue(?:$|\W)/i.test(raw.headers.expect ?? '');
}

function isHttp11({ httpVersion }: IncomingMessage): boolean {
  return httpVersion === '1.1';
}

/** @param name in lower case */
function linesOf({ rawHeaders }: IncomingMessage, name: string): number {
  let lines = 0;
  for (let at = 0; at < rawHeaders.length; at += 2)
    if (rawHeaders[at]?.length === name.length && rawHeaders[at]?.toLowerCase() === name) lines += 1;
  return lines;
}
