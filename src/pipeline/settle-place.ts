/** settle-place: stores what became of a recipient of a campaign. A finished one stays at its place; any other becomes an email of its own. */
import { type FinalMark, finalMarkOf } from '../domain/campaign.ts';
import { type Decision, decide, type RetryPolicy } from '../domain/decide.ts';
import { decideChange } from '../domain/decide-change.ts';
import type { StoredEmail } from '../domain/email.ts';
import type { EmailEvent } from '../domain/event.ts';
import type { Lane } from '../domain/lane.ts';
import { type Change, noTransport, type SettledOutcome, transportAsked, unmade } from '../domain/outcome.ts';
import type { Recipient } from '../domain/recipient.ts';
import { type Suppression, suppressionsOf, withSuppressed } from '../domain/suppression.ts';
import { stepOf } from '../domain/timeline.ts';
import { type WovenContent, wholeContent } from '../domain/woven.ts';
import type { CampaignLeave } from '../store/campaign-leave.ts';
import type { CampaignSlices } from '../store/campaign-slices.ts';
import type { Emails } from '../store/emails.ts';

type Deps = {
  slices: Pick<CampaignSlices, 'settle'>;
  leave: CampaignLeave['leave'];
  emails: Pick<Emails, 'read'>;
  /** Settles an attempt at an email that has left its place. */
  settleLeft(email: StoredEmail, outcome: SettledOutcome, attemptId: string): Promise<unknown>;
  policies: Readonly<Record<Lane, RetryPolicy>>;
  newId(prefix: 'sp'): string;
  now(): number;
  rand(): number;
};

/** The email and the content for one recipient, who may have a subject of their own; or why the letter cannot be made. */
export type Filled = { readonly email: StoredEmail; readonly content: WovenContent } | { readonly fault: string };

export type PlaceInHand = {
  readonly campaignId: string;
  readonly place: number;
  /** The mark of the place as this worker knows it. */
  readonly from: 'queued' | 'handing';
  readonly email: StoredEmail;
  /** Makes the letter, once. */
  fill(): Filled;
  /** The subject of the letter; null until the letter is made. */
  subject(): string | null;
};

/** What is settled for one recipient: the outcome of an attempt, or a cancellation. */
export type PlaceResult = SettledOutcome | { readonly kind: 'canceled' };

/** What became of one recipient. */
export type PlaceReport = {
  readonly email: StoredEmail;
  readonly what: SettledOutcome | Change;
  readonly decision: Decision;
};

/** @returns null when another worker settled the recipient */
export async function settlePlace(deps: Deps, placed: PlaceInHand, what: PlaceResult): Promise<PlaceReport | null> {
  const { email } = placed;
  const now = deps.now();
  const decision = what.kind === 'canceled' ? decideChange(email, what, now) : decideOn(deps, email, what);
  const [recipient] = 'refused' in decision ? [] : decision.state.recipients;
  if ('refused' in decision || recipient === undefined) return null;
  const suppressions = suppressionsOf(email, decision.state, what, () => deps.newId('sp'));
  const decided = { what, decision, recipient, suppressions, now };
  const to = mayStay(decision) ? finalMarkOf(recipient.status) : null;
  if (to !== null) {
    const isWritten = await stay(deps, placed, decided, to);
    return isWritten ? { email, what, decision } : tellLate(deps, placed, what);
  }
  const filled = placed.fill();
  if ('fault' in filled) return settlePlace(deps, placed, unfilled(what, filled.fault));
  const hasLeft = await leave(deps, placed, decided, filled);
  return hasLeft ? { email, what, decision } : tellLate(deps, placed, what);
}

/** The letter cannot be made for what is to follow. A transport that was asked before is still reported. */
function unfilled(what: PlaceResult, detail: string): SettledOutcome {
  const transport = transportAsked(what);
  return transport === null ? unmade(noTransport, detail) : { kind: 'undeliverable', transport, detail };
}

/** A place keeps no event that did not end it. */
function mayStay({ events }: Decision): boolean {
  return events.every(({ type }) => type !== 'email.outcome_unknown');
}

type Decided = Pick<PlaceReport, 'what' | 'decision'> & {
  readonly recipient: Recipient;
  readonly suppressions: readonly Suppression[];
  readonly now: number;
};

/** A finished recipient keeps its place: the outcome and the events are written there. False when another worker settled it. */
function stay(deps: Deps, placed: PlaceInHand, decided: Decided, to: FinalMark): Promise<boolean> {
  const { campaignId, place, from } = placed;
  const { what, decision, recipient, suppressions, now } = decided;
  const { attempts, transport, smtp, reason } = recipient;
  const trace = 'trace' in what ? (what.trace ?? null) : null;
  const outcome = { place, at: now, attempts, transport, reply: smtp?.reply ?? null, reason, trace };
  const told = withSuppressed(decision.events, suppressions);
  const events = told.map((event) => ({ ...withSubject(event, placed), campaignId }));
  return deps.slices.settle({ campaignId, from, to, outcome, events, suppressions }, now);
}

type Written = Exclude<Filled, { readonly fault: string }>;

/** Any other recipient becomes an email with a record of its own. False when another worker settled it. */
async function leave(deps: Deps, placed: PlaceInHand, decided: Decided, filled: Written): Promise<boolean> {
  const { what, decision, suppressions, now } = decided;
  const step = stepOf(what, placed.email.state, decision.events, now);
  const leaving = { ...filled, content: wholeContent(filled.content), mark: placed.from };
  return (await deps.leave(leaving, { ...decision, step, suppressions }, '', now)) === 'done';
}

/**
 * This worker lost its lease after the hand-over, and another settled the recipient as unknown, so it left its place. The answer that came
 * after all counts, unless another attempt is handing the email over.
 */
async function tellLate(
  { emails, settleLeft }: Deps,
  { email: { facts }, from }: PlaceInHand,
  what: PlaceResult,
): Promise<null> {
  const left = what.kind === 'answered' && from === 'handing' ? await emails.read(facts.id) : null;
  // Otherwise this very answer let it leave, and the command was repeated.
  const isUnanswered = left?.state.recipients.some(({ unanswered }) => unanswered !== undefined);
  if (left !== null && isUnanswered && what.kind === 'answered') await settleLeft(left, { ...what, isLate: true }, '');
  return null;
}

/** Adds the subject to an event when it is not the subject of the whole campaign. */
function withSubject(event: EmailEvent, { email, subject }: PlaceInHand): EmailEvent {
  const own = subject();
  return own === null || own === email.facts.subject ? event : { ...event, subject: own };
}

function decideOn({ policies, now, rand }: Deps, email: StoredEmail, outcome: SettledOutcome): Decision {
  const decision = decide(email, outcome, policies[email.facts.lane], now(), rand());
  if (!('transport' in outcome) || outcome.transport !== noTransport) return decision;
  const unnamed = <T>(one: T): T => ({ ...one, transport: null });
  const { state, events } = decision;
  return { ...decision, state: { ...state, recipients: state.recipients.map(unnamed) }, events: events.map(unnamed) };
}
