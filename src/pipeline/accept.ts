/** accept: stores valid requests as emails, durably, before the caller gets its answer. enqueue-due brings them to the queue later. */
import { acceptEmail, type NewEmail } from '../domain/email.ts';
import type { EmailRequest } from '../domain/email-request.ts';
import { timeOfId } from '../domain/id.ts';
import { clashMark, type IdempotencyClaim } from '../domain/idempotency.ts';
import type { Submission } from '../store/email-create.ts';
import type { Emails } from '../store/emails.ts';
import type { PriorClaim } from '../store/prior-claims.ts';

type Deps = {
  emails: Pick<Emails, 'create'>;
  /** Called with the emails that this call stored; repeats are left out. */
  report(accepted: { requestId: string; keyId: string; emails: readonly NewEmail[] }): void;
  newId(prefix: 'em'): string;
  now(): number;
};

export type Asked = { readonly request: EmailRequest; readonly claim: IdempotencyClaim | null };

export type Accepted =
  | { readonly kind: 'accepted'; readonly id: string; readonly isReplay: boolean }
  /** The Idempotency-Key was used with another body. */
  | { readonly kind: 'key_reused' };

export type AcceptedAll =
  /** One answer for each email asked for, in that order; of a repeat those of the first request. Null where validation refused it. */
  | { readonly kind: 'answered'; readonly answers: readonly (Accepted | null)[]; readonly isReplay: boolean }
  /** The key of the whole batch was used with another body. */
  | { readonly kind: 'key_reused' };

/**
 * Stores all of `asked` in one atomic step; the answers are in the same order. With `isStrict`, one reused key means that nothing is stored.
 * @param asked null for an email that validation refused
 */
export async function accept(
  deps: Deps,
  asked: readonly (Asked | null)[],
  keyId: string,
  { batchClaim, isStrict, requestId }: { batchClaim: IdempotencyClaim | null; isStrict: boolean; requestId: string },
): Promise<AcceptedAll> {
  // Lists are sorted by id, and ids of the same millisecond have no order of their own.
  const fresh = asked.map(() => deps.newId('em')).toSorted();
  const submissions = asked.map((one, index) => (one === null ? null : submissionOf(one, keyId, fresh[index] ?? '')));
  // Read after the ids are made, which hold a time: an email that is due must not look scheduled for later.
  const now = deps.now();
  const created = await deps.emails.create(submissions, { batchClaim, isStrict, now });
  const isRepeat = created.kind === 'repeated';
  if (isRepeat && created.prior.bodyHash !== batchClaim?.bodyHash) return { kind: 'key_reused' };
  const ids = isRepeat ? created.prior.ids : submissions.map((one, index) => idOf(one, created.met[index] ?? null));
  const isOurs = (index: number) => ids[index] === submissions[index]?.email.facts.id;
  const answers = submissions.map((_, index) => answerOf(ids[index] ?? '', { isReplay: !isOurs(index) }));
  const emails = submissions.flatMap((one, index) => (one !== null && isOurs(index) ? [one.email] : []));
  if (emails.length > 0) deps.report({ requestId, keyId, emails });
  // After a lost answer of Redis our own command runs twice and finds its own claim: that is no replay.
  return { kind: 'answered', answers, isReplay: isRepeat && !ids.some((_, index) => isOurs(index)) };
}

/**
 * The first answer to a repeated request (same Idempotency-Key, same body), even if the request would be refused today, for instance because
 * its `expires_at` has passed. Null when the key is free.
 */
export async function recall(
  deps: { emails: Pick<Emails, 'prior'> },
  claim: IdempotencyClaim,
): Promise<AcceptedAll | null> {
  const prior = await deps.emails.prior(claim);
  if (prior === null) return null;
  if (prior.bodyHash !== claim.bodyHash) return { kind: 'key_reused' };
  const answers = prior.ids.map((id) => answerOf(id, { isReplay: true }));
  return { kind: 'answered', answers, isReplay: true };
}

/** The age of an email counts from the time in its id, which is also its place in lists. */
function submissionOf({ request, claim }: Asked, keyId: string, id: string): Submission {
  return { email: acceptEmail(request, { id, keyId, now: timeOfId(id) }), claim };
}

/** The id that answers a submission, also of an earlier email under the same key; in its place as in `PriorClaim`. */
function idOf(one: Submission | null, met: PriorClaim | null): string {
  if (one === null) return '';
  if (met === null) return one.email.facts.id;
  return met.bodyHash === one.claim?.bodyHash ? (met.ids[0] ?? '') : clashMark;
}

/** @param id or what replaces it in `PriorClaim` */
function answerOf(id: string, { isReplay }: { isReplay: boolean }): Accepted | null {
  if (id === '') return null;
  return id === clashMark ? { kind: 'key_reused' } : { kind: 'accepted', id, isReplay };
}
