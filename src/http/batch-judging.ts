/** Judges the emails of a batch: what each would get now, and what earlier requests with the same keys got. */
import type { ApiKey } from '../domain/api-key.ts';
import type { IdempotencyClaim } from '../domain/idempotency.ts';
import type { AcceptedAll } from '../pipeline/accept.ts';
import { askedIn, type Entry } from './batch-entries.ts';
import { judge, refusalOf, refuseRepeats, type Slot } from './batch-slots.ts';
import type { SendDeps } from './emails.ts';

type Deps = Pick<SendDeps, 'render' | 'recall'>;

/** A batch as it was read. */
type ReadBatch = {
  /** Of the key for the whole; null without one. */
  readonly claim: IdempotencyClaim | null;
  readonly entries: readonly Entry[];
  readonly apiKey: ApiKey;
  /** Takes room in memory for characters that are made from templates. */
  roomFor(made: number): void;
};

type Recalled = Extract<AcceptedAll, { kind: 'answered' }>;

/** Whether nothing new would be stored of it: it was accepted before, under a key for the whole or one for each email that may be stored. */
export async function isRepeat(deps: Deps, { claim: whole, entries, apiKey, roomFor }: ReadBatch): Promise<boolean> {
  if (whole !== null) return (await answered(deps, whole)) !== null;
  const valid = entries.filter((entry) => askedIn(entry) !== null);
  // An email whose key belongs to another body is refused.
  const priors = await Promise.all(valid.map(({ claim }) => claim && deps.recall(claim)));
  const free = valid.filter((_, index) => priors[index] === null);
  // Rendering is for the rest of a repeat alone: a batch that is all new is refused without.
  if (free.length === 0 || free.length === valid.length) return free.length === 0;
  const rendered = await deps.render(free.map(askedIn), roomFor);
  return free.every(({ item }, index) => refusalOf(item, rendered[index] ?? null, apiKey) !== null);
}

/** With the answers that refused emails got earlier, and the answer to the whole when a refused email made us look for it. */
export async function judgeAll(
  deps: Deps,
  { claim, entries, apiKey, roomFor }: ReadBatch,
): Promise<{ slots: Slot[]; recalled: Recalled | null }> {
  const judged = judge(entries, await deps.render(entries.map(askedIn), roomFor), apiKey);
  const isDoubtful = judged.some(({ refusal }) => refusal !== null);
  const recalled = isDoubtful ? await answered(deps, claim) : null;
  const slots = refuseRepeats(await Promise.all(judged.map((slot) => withPrior(deps, slot, recalled))));
  return { slots, recalled };
}

/** Adds the answer that a refused email got earlier: in its batch, or under its own key. */
async function withPrior(deps: Deps, slot: Slot, batch: Recalled | null): Promise<Slot> {
  if (slot.refusal === null) return slot;
  const inBatch = batch?.answers[slot.index] ?? null;
  if (inBatch !== null) return { ...slot, prior: inBatch };
  return { ...slot, prior: (await answered(deps, slot.claim))?.answers[0] ?? null };
}

/** The earlier answer to the same body; null for none. */
async function answered({ recall }: Deps, claim: IdempotencyClaim | null): Promise<Recalled | null> {
  const prior = claim && (await recall(claim));
  return prior?.kind === 'answered' ? prior : null;
}
