/** What a request is refused for by its head alone, whatever it asks for. */
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
  // Node.js passes on what is coded in another way as well, as it came. It ends what is not chunked itself.
  if ((raw.headers['transfer-encoding'] ?? 'chunked').toLowerCase() !== 'chunked')
    throw new ProblemError('unreadable_request', 'Transfer-Encoding may be chunked');
  // Node.js would make one of them, which nobody has sent.
  if (linesOf(raw, 'idempotency-key') > 1)
    throw new ProblemError('invalid_idempotency_key', 'Send one Idempotency-Key: this request has several');
}

/** Whether the client sends its body only once it is told to (RFC 9110 section 10.1.1). */
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
