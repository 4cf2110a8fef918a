/** Which emails a key may send, see and change. */
import { z } from 'zod';
import { domainOf } from '../domain/address.ts';
import { type ApiKey, permits } from '../domain/api-key.ts';
import type { StoredEmail } from '../domain/email.ts';
import { isMessageId } from '../domain/email-headers.ts';
import { emailIdForm } from '../domain/id.ts';
import { usualLane } from '../domain/lane.ts';
import type { Fault, ProblemName } from '../domain/problem.ts';
import type { Rendered } from '../pipeline/render.ts';
import { ProblemError } from './problems.ts';
import { templateFaults } from './template-access.ts';

export const emailParams = z.object({
  id: z.string().meta({ description: 'The id of the email.', examples: ['em_01kb2m7x4p6q8s0t2v4w6x8y0z'] }),
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

/** Why an email or a campaign of a request is not taken. */
export type Refusal = { readonly problem: ProblemName; readonly faults: readonly Fault[] };

/** The faults of rendering, or what this key may not do of what was requested; null when all of it is fine. */
export function refusalOfEmail(key: ApiKey, rendered: Rendered, pointer = ''): Refusal | null {
  if ('faults' in rendered) return { problem: 'validation_error', faults: templateFaults(rendered.faults, pointer) };
  const { lane = usualLane, from, headers = {} } = rendered.request;
  const domain = domainOf(from.address);
  if (!permits({ ...key, lanes: null }, { domain, lane }))
    return forbidden('invalid_from_address', `${pointer}/from`, `this key may not send from ${domain}`);
  if (!permits(key, { domain, lane }))
    return forbidden('restricted_api_key', `${pointer}/lane`, `this key may not use the lane ${lane}`);
  const messageId = Object.keys(headers).find(isMessageId);
  if (messageId !== undefined && !key.allowMessageId)
    return forbidden('restricted_api_key', `${pointer}/headers/${messageId}`, 'this key may not set the Message-ID');
  return null;
}

export function forbidden(problem: ProblemName, pointer: string, message: string): Refusal {
  return { problem, faults: [{ pointer, code: 'forbidden', message }] };
}

export function emailMissing(id: string): ProblemError {
  return new ProblemError('not_found', `There is no email ${id}`);
}
