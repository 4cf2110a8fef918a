/** Protects the dev inbox, which asks for no key, from requests of other sites, under whatever host name they come. */
import { isIP } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ProblemError } from '../problems.ts';

/** Names that only a private resolver answers, so no stranger can point one at this machine (RFC 6761, 6762, ICANN's `internal`). */
const privateName = /(?:^|\.)(?:localhost|local|internal|test|home\.arpa)$/;

/** Headers of every answer of the inbox. */
const headers = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'x-dns-prefetch-control': 'off',
  'cache-control': 'no-store',
};

/** @throws ProblemError 404: for a stranger there is no inbox */
export async function guard(request: FastifyRequest, reply: FastifyReply): Promise<void> {
  reply.headers(headers);
  if (!isPrivateHost(request.headers.host ?? ''))
    throw new ProblemError(
      'not_found',
      'The dev inbox is open to anybody who can reach it, so it answers under private names only: an IP address, localhost, a name without a dot, or one below .local, .internal or .test',
    );
  const site = request.headers['sec-fetch-site'];
  if (request.method !== 'GET' && site !== undefined && site !== 'same-origin' && site !== 'none')
    throw new ProblemError('not_found', 'Another site may not change the dev inbox');
}

/** Stops DNS rebinding: a page on a public name that now resolves to this machine has the same origin, but its Host header gives it away. */
function isPrivateHost(host: string): boolean {
  const name = host
    .toLowerCase()
    .replace(/:\d+$/, '')
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '');
  return isIP(name) !== 0 || !name.includes('.') || privateName.test(name);
}
