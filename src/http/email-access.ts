/** What a key may send, see and change, and the Idempotency-Key of a request. */
import { z } from 'zod';
import { domainOf } from '../domain/address.ts';
import { type ApiKey, permits } from '../domain/api-key.ts';
import type { StoredEmail } from '../domain/email.ts';
import { isMessageId } from '../domain/email-headers.ts';
import { emailIdForm } from '../domain/id.ts';
import { bodyHash, idempotencyScope, type Known, readIdempotencyKey } from '../domain/idempotency.ts';
import { usualLane } from '../domain/lane.ts';
import type { Fault, ProblemName } from '../domain/problem.ts';
import type { TemplateFault } from '../domain/template.ts';
import type { Rendered } from '../pipeline/render.ts';
import type { IdempotencyClaim } from '../store/email-create.ts';
import { toPointer } from './pointer.ts';
import { ProblemError } from './problems.ts';

export const emailParams = z.object({
  id: z.string().meta({ description: 'The id of the email.', examples: ['em_01kb2m7x4p6q8s0t2v4w6x8y0z'] }),
});

export const idempotencyHeader = z
  .string()
  .optional()
  .meta({
    description:
      'A name for this request, of up to 256 printable ASCII characters, quoted or not. A repeat with the same body within 24 hours gets the first answer again, and nothing is done twice. A repeat with another body is refused.',
    examples: ['welcome-1234'],
  });

/** The email, when it exists and this key may see it. @throws ProblemError 404 */
export async function findEmail<E extends StoredEmail>(
  read: (id: string) => Promise<E | null>,
  id: string,
  key: ApiKey,
): Promise<E> {
  const email = emailIdForm.test(id) ? await read(id) : null;
  if (email === null || !permits(key, { domain: domainOf(email.facts.from.address), lane: email.facts.lane }))
    throw emailMissing(id);
  return email;
}

export type Excess = { readonly problem: ProblemName; readonly faults: readonly Fault[] };

/** The faults of rendering, or what this key may not do of what was requested; null when all of it is fine. */
export function excessOf(key: ApiKey, rendered: Rendered, pointer = ''): Excess | null {
  if ('faults' in rendered) return { problem: 'validation_error', faults: templateFaults(rendered.faults, pointer) };
  const { lane = usualLane, from, headers = {} } = rendered.request;
  const domain = domainOf(from.address);
  if (!permits({ ...key, lanes: null }, { domain, lane }))
    return excess('invalid_from_address', `${pointer}/from`, `this key may not send from ${domain}`);
  if (!permits(key, { domain, lane }))
    return excess('restricted_api_key', `${pointer}/lane`, `this key may not use the lane ${lane}`);
  const messageId = Object.keys(headers).find(isMessageId);
  if (messageId !== undefined && !key.allowMessageId)
    return excess('restricted_api_key', `${pointer}/headers/${messageId}`, 'this key may not set the Message-ID');
  return null;
}

export function templateFaults(faults: readonly TemplateFault[], pointer = ''): Fault[] {
  return faults.map(({ path, code, message }) => ({ pointer: pointer + toPointer(path), code, message }));
}

export function excess(problem: ProblemName, pointer: string, message: string): Excess {
  return { problem, faults: [{ pointer, code: 'forbidden', message }] };
}

export function emailMissing(id: string): ProblemError {
  return new ProblemError('not_found', `There is no email ${id}`);
}

export function keyReused(): ProblemError {
  const detail =
    'This Idempotency-Key was used for another request (another body, or another id in the path) in the last 24 hours';
  return new ProblemError('invalid_idempotent_request', detail);
}

export function readClaim(
  header: string | string[] | undefined,
  keyId: string,
  route: string,
  body: unknown,
  known?: Known,
): IdempotencyClaim | null {
  if (header === undefined) return null;
  const key = typeof header === 'string' ? readIdempotencyKey(header) : null;
  if (key === null)
    throw new ProblemError('invalid_idempotency_key', 'Idempotency-Key must be 1 to 256 printable ASCII characters');
  return claimOf(key, keyId, route, body, known);
}

/** @param known as in `bodyHash` */
export function claimOf(key: string, keyId: string, route: string, body: unknown, known?: Known): IdempotencyClaim {
  return { scope: idempotencyScope(keyId, route, key), bodyHash: bodyHash(body, known) };
}
