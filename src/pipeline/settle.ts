/**
 * settle: decides what an outcome or a change makes of an email, then commits state and events in one transaction. Recipients that are still at
 * their place are settled by settle-place.
 */
import { type Decision, decide, type RetryPolicy } from '../domain/decide.ts';
import { decideChange, type Refusal } from '../domain/decide-change.ts';
import type { StoredEmail } from '../domain/email.ts';
import type { Change, SettledOutcome } from '../domain/outcome.ts';
import { suppressionsOf, withSuppressed } from '../domain/suppression.ts';
import { stepOf } from '../domain/timeline.ts';
import type { ChangeCommitted, Commit } from '../store/email-commit.ts';
import type { Emails } from '../store/emails.ts';

type CommitDeps = {
  emails: Pick<Emails, 'read'>;
  report(settled: { email: StoredEmail; what: SettledOutcome | Change; decision: Decision }): void;
  now(): number;
};

type Deps = CommitDeps & {
  emails: Pick<Emails, 'commit'>;
  /** By lane: bulk mail may be later than transactional mail. */
  policies: Readonly<Record<StoredEmail['facts']['lane'], RetryPolicy>>;
  newId(prefix: 'sp'): string;
  rand(): number;
};
type ChangeDeps = CommitDeps & {
  emails: { commitChange(...given: Parameters<Emails['commitChange']>): Promise<ChangeCommitted | Refusal> };
  newId(prefix: 'ch'): string;
};

/** In each lost round another writer won. So many in a row mean that something is broken: it throws, and the email comes again later. */
const maxRounds = 20;

/**
 * Settles the outcome of an attempt. The new state also says when the email comes again.
 * @param attemptId id of the attempt, also when nothing was handed over
 * @returns whether it was stored; false when another attempt or a change came before it
 */
export async function settle(
  deps: Deps,
  email: StoredEmail,
  outcome: SettledOutcome,
  attemptId: string,
): Promise<boolean> {
  const decideOn = (current: StoredEmail) => {
    if (outcome.kind === 'unknown' && current.version !== email.version) return settledMeanwhile;
    if (outcome.kind === 'fetch_fault' && current.version !== email.version) return changedMeanwhile;
    if (current.handOver !== null && current.handOver.attemptId !== attemptId) return inOtherHands;
    const isLate = outcome.kind === 'answered' && wasCounted(email, current);
    const told = isLate ? { ...outcome, isLate } : outcome;
    return decide(current, told, deps.policies[current.facts.lane], deps.now(), deps.rand());
  };
  const commit = async (current: StoredEmail, after: Commit) => {
    const suppressions = suppressionsOf(current, after.state, outcome, () => deps.newId('sp'));
    const events = withSuppressed(after.events, suppressions);
    return (await deps.emails.commit(current, { ...after, events, suppressions }, attemptId, deps.now()))
      ? 'done'
      : 'lost';
  };
  const settled = await commitFirst(deps, email, outcome, decideOn, commit);
  return settled !== null && !('refused' in settled.decision);
}

/** Whether another worker settled the attempt as unknown since it began. */
function wasCounted({ state }: StoredEmail, current: StoredEmail): boolean {
  const before = state.recipients;
  return current.state.recipients.some(({ attempts }, n) => attempts > (before[n]?.attempts ?? attempts));
}

/** A hand-over is open until it is settled. The email changed, so another worker settled it, with its answer or as unknown. */
const settledMeanwhile: Refusal = { refused: 'its hand-over was settled meanwhile' };

/** A worker that lost its lease may have counted the same fault, or a caller changed the email: the file is tried again at once. */
const changedMeanwhile: Refusal = { refused: 'it changed while its file was fetched' };

/** The email is in two jobs, and the other job may have handed it to the next hop: the outcome of that job counts. */
const inOtherHands: Refusal = { refused: 'another attempt is handing it over' };

/** A retry and the removal of the content raced, and the removal won. */
const contentGone: Refusal = { refused: 'its content has been dropped (RETENTION_CONTENT)' };

/** The campaign was canceled before this retry, or the two raced and the cancel won. */
const campaignCanceled: Refusal = { refused: 'its campaign was canceled' };

export type Changed =
  | { readonly kind: 'changed'; readonly decision: Decision }
  | ({ readonly kind: 'refused'; readonly email: StoredEmail } & Refusal)
  | { readonly kind: 'gone' };

/** Settles a change that a caller asked for; refused when it comes too late. When a change and a hand-over race, exactly one wins. */
export async function settleChange(
  deps: ChangeDeps,
  email: StoredEmail,
  change: Change,
  changeId: string = deps.newId('ch'),
): Promise<Changed> {
  const decideOn = (current: StoredEmail) => decideChange(current, change, deps.now());
  const suppressions = change.kind === 'unsubscribed' ? [change.suppression] : [];
  const commit = (current: StoredEmail, after: Commit) =>
    deps.emails.commitChange(current, { ...after, suppressions }, changeId, deps.now());
  const settled = await commitFirst(deps, email, change, decideOn, commit);
  if (settled === null) return { kind: 'gone' };
  const { decision, email: current } = settled;
  if ('refused' in decision) return { kind: 'refused', email: current, refused: decision.refused };
  return { kind: 'changed', decision };
}

/** Decides and commits. When another writer was faster, decides again on the new state. Null when the email is gone. */
async function commitFirst<D extends Decision | Refusal>(
  deps: CommitDeps,
  email: StoredEmail,
  what: SettledOutcome | Change,
  decideOn: (current: StoredEmail) => D,
  commit: (current: StoredEmail, after: Commit) => Promise<ChangeCommitted | Refusal>,
): Promise<{ email: StoredEmail; decision: D | Refusal } | null> {
  let current: StoredEmail | null = email;
  for (let round = 0; round < maxRounds && current !== null; round++) {
    const decision = decideOn(current);
    if ('refused' in decision) return { email: current, decision };
    const { state, events } = decision;
    const committed = await commit(current, { state, events, step: stepOf(what, current.state, events, deps.now()) });
    if (typeof committed === 'object') return { email: current, decision: committed };
    if (committed === 'content_gone') return { email: current, decision: contentGone };
    if (committed === 'campaign_canceled') return { email: current, decision: campaignCanceled };
    if (committed === 'done') {
      deps.report({ email: current, what, decision });
      return { email: current, decision };
    }
    current = await deps.emails.read(email.facts.id);
  }
  if (current === null) return null;
  throw new Error(`email ${email.facts.id} changed ${maxRounds} times while it was being settled`);
}
