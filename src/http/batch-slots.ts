/** What becomes of each email of a batch: first judged by us, then accepted or refused by `accept`. Pure. */
import type { ApiKey } from '../domain/api-key.ts';
import type { BatchItem } from '../domain/batch.ts';
import type { Accepted, Asked } from '../pipeline/accept.ts';
import type { Rendered } from '../pipeline/render.ts';
import type { Entry } from './batch-entries.ts';
import { type Refusal, refusalOfEmail } from './email-access.ts';
import { faultsOf } from './faults.ts';
import { toPointer } from './pointer.ts';

/** An entry once it is judged. */
export type Slot = Entry & {
  /** What is to be accepted; null when it is refused. */
  readonly asked: Asked | null;
  readonly refusal: Refusal | null;
  /** The answer it got earlier, when it is refused now; null for none. */
  readonly prior: Accepted | null;
};

export type Outcome = { readonly id: string } | Refusal;

/** @param rendered in the order of the entries */
export function judge(entries: readonly Entry[], rendered: readonly (Rendered | null)[], apiKey: ApiKey): Slot[] {
  return entries.map((entry): Slot => {
    const made = rendered[entry.index] ?? null;
    const refusal = refusalOf(entry.item, made, apiKey);
    const isAsked = refusal === null && made !== null && 'request' in made;
    const asked = isAsked ? { request: made.request, claim: entry.claim } : null;
    return { ...entry, asked, refusal, prior: null };
  });
}

export function refusalOf({ path, result }: BatchItem, rendered: Rendered | null, apiKey: ApiKey): Refusal | null {
  if ('issues' in result) return { problem: 'validation_error', faults: faultsOf(result.issues) };
  return rendered && refusalOfEmail(apiKey, rendered, toPointer(path));
}

/**
 * Two emails under one key in one batch can only be a mistake, and the second gets no answer that the first got earlier. One that is refused for
 * another reason has no part in its key, unless it was accepted before.
 */
export function refuseRepeats(slots: readonly Slot[]): Slot[] {
  const seen = new Set<string>();
  return slots.map((slot): Slot => {
    const { path, idempotencyKey: key } = slot.item;
    if (key === null) return slot;
    if (seen.has(key)) {
      const refusal = withRepeat(slot.refusal, toPointer([...path, 'idempotency_key']));
      return { ...slot, asked: null, refusal, prior: null };
    }
    if (slot.refusal === null || slot.prior !== null) seen.add(key);
    return slot;
  });
}

function withRepeat(refusal: Refusal | null, pointer: string): Refusal {
  const fault = { pointer, code: 'custom', message: 'stands at an earlier email of this batch' };
  return { problem: refusal?.problem ?? 'validation_error', faults: [...(refusal?.faults ?? []), fault] };
}

/** The outcome for one email: accepted, or refused by us or by `accept`, now or when the key of its batch was first used. */
export function outcomeOf({ item: { path }, refusal }: Slot, answer: Accepted | null): Outcome {
  if (answer?.kind === 'accepted') return { id: answer.id };
  if (answer?.kind === 'key_reused')
    return reused([...path, 'idempotency_key'], 'this idempotency_key was used with another body in the last 24 hours');
  return refusal ?? reused(path, 'was refused when this Idempotency-Key was first used');
}

function reused(path: readonly PropertyKey[], message: string): Refusal {
  return { problem: 'invalid_idempotent_request', faults: [{ pointer: toPointer(path), code: 'key_reused', message }] };
}

export function refusalIn(outcome: Outcome): Refusal | null {
  return 'id' in outcome ? null : outcome;
}
