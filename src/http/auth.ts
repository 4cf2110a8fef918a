/** Who is calling: the Bearer key, compared in constant time by its hash. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { ProblemError } from './problems.ts';

export type ApiKey = { readonly id: string; readonly hash: Buffer };

export function hashApiKey(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}

/** @throws ProblemError 401 */
export function authenticate(request: FastifyRequest, keys: readonly ApiKey[]): ApiKey {
  const token = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
  if (token === undefined)
    throw new ProblemError('missing_api_key', 'Send your API key as "Authorization: Bearer pr_…"');
  const hash = hashApiKey(token);
  const known = keys.find((key) => timingSafeEqual(key.hash, hash));
  if (known === undefined) throw new ProblemError('invalid_api_key', 'The API key is not known here');
  return known;
}
