/** The Idempotency-Key of a request, and the claim that follows from it. */
import { z } from 'zod';
import {
  bodyHash,
  type IdempotencyClaim,
  idempotencyScope,
  type Known,
  readIdempotencyKey,
} from '../domain/idempotency.ts';
import { ProblemError } from './problems.ts';

export const idempotencyHeader = z
  .string()
  .optional()
  .meta({
    description:
      'A name for this request, of up to 256 printable ASCII characters, quoted or not. A repeat with the same body within 24 hours gets the first answer again, and nothing is done twice. A repeat with another body is refused.',
    examples: ['welcome-1234'],
  });

/** What a key belongs to. */
type Named = {
  /** The id of the API key. */
  readonly keyId: string;
  readonly route: string;
  readonly body: unknown;
  /** As in `bodyHash`. */
  readonly known?: Known;
};

/** Null without a key. @throws ProblemError 400 */
export function readClaim(header: string | string[] | undefined, named: Named): IdempotencyClaim | null {
  if (header === undefined) return null;
  const key = typeof header === 'string' ? readIdempotencyKey(header) : null;
  if (key === null)
    throw new ProblemError('invalid_idempotency_key', 'Idempotency-Key must be 1 to 256 printable ASCII characters');
  return claimOf(key, named);
}

export function claimOf(key: string, { keyId, route, body, known }: Named): IdempotencyClaim {
  return { scope: idempotencyScope(keyId, route, key), bodyHash: bodyHash(body, known) };
}

export function keyReused(): ProblemError {
  const detail =
    'This Idempotency-Key was used for another request (another body, or another id in the path) in the last 24 hours';
  return new ProblemError('invalid_idempotent_request', detail);
}
