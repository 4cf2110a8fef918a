/** accept: a valid request becomes a stored email, durable before anybody is told so, and then a job. */
import { acceptEmail } from '../domain/email.ts';
import type { EmailRequest } from '../domain/email-request.ts';
import type { JobQueue } from '../queue/jobs.ts';
import type { Emails, IdempotencyClaim } from '../store/emails.ts';

type Deps = {
  emails: Pick<Emails, 'create' | 'markQueued'>;
  deliverQueue: Pick<JobQueue, 'add'>;
  newId(prefix: 'em'): string;
  now(): number;
};

export type Accepted =
  | { readonly kind: 'accepted'; readonly id: string; readonly isReplay: boolean }
  /** The Idempotency-Key was used with another body. */
  | { readonly kind: 'key_reused' };

export async function accept(
  deps: Deps,
  request: EmailRequest,
  keyId: string,
  claim: IdempotencyClaim | null,
): Promise<Accepted> {
  const now = deps.now();
  const email = acceptEmail(request, { id: deps.newId('em'), keyId, now });
  const { id } = email.facts;
  const prior = await deps.emails.create(email, claim);
  // A repeat of our own command, its first answer lost, finds our own claim.
  if (prior !== null && prior.id !== id) {
    return prior.bodyHash === claim?.bodyHash
      ? { kind: 'accepted', id: prior.id, isReplay: true }
      : { kind: 'key_reused' };
  }
  // The email is safe from here on. Should the queue refuse it now, sweep brings it there.
  await deps.deliverQueue.add([{ id, at: now }]).then(
    () => deps.emails.markQueued([id]),
    () => {},
  );
  return { kind: 'accepted', id, isReplay: false };
}
