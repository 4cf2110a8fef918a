/** The decision behind `settle`: takes an email and an outcome, returns states, events and the time of the next try. Pure. */
import { eventFor, eventsOf, isUnanswered } from './change-events.ts';
import { classify, isLoginRefusal } from './classify.ts';
import type { EmailState, StoredEmail } from './email.ts';
import { type EmailEvent, type EmailEventType, eventOf } from './event.ts';
import type { Feedback, RecipientReply, SettledOutcome } from './outcome.ts';
import { isFinal, isPending, nextDue, type Recipient, rankOf } from './recipient.ts';
import { isSandbox, sandboxTransport } from './sandbox.ts';
import { lastTry, nextTry } from './schedule.ts';
import { isOwnRefusal } from './standing.ts';
import { suppressedForm } from './suppression.ts';

export type RetryPolicy = {
  /** Waits between attempts, milliseconds; the last one repeats. */
  readonly scheduleMs: readonly number[];
  /** Age, counted from `EmailState.since`, at which a pending recipient fails. */
  readonly maxAgeMs: number;
};

/** Wait after trouble of the transport's own, which counts as no attempt. */
const faultWaitMs = 5_000;
/** Tries to fetch an attachment: enough for a server that is briefly away, too few to wait long for a wrong address. */
const maxFetchTries = 5;

export type Decision = {
  readonly state: EmailState;
  readonly events: readonly EmailEvent[];
  /** When a pending recipient is next due, milliseconds since the epoch; null when none is left. */
  readonly again: number | null;
};

/** @param rand uniform in [0, 1), spreads the retries */
export function decide(
  email: StoredEmail,
  outcome: SettledOutcome,
  policy: RetryPolicy,
  now: number,
  rand: number,
): Decision {
  const terms = { policy, now, rand };
  const after = email.state.recipients.map((recipient) => {
    if (isPassedOver(recipient, outcome)) return recipient;
    if (!isPending(recipient.status) || ('isLate' in outcome && outcome.isLate))
      return answerLate(email.state, recipient, outcome, terms);
    const moved = move(email, recipient, outcome, terms);
    if (rankOf[moved.status] < rankOf[recipient.status] || isMoot(recipient, outcome, moved, now)) return recipient;
    return isUnanswered(recipient, moved, outcome) ? moved : endInTime(moved, email.state, terms);
  });
  const decision = decisionOf(email, { ...email.state, recipients: after }, now, (before, moved) =>
    eventFor(before, moved, outcome),
  );
  if (outcome.kind === 'unknown') return thenMove(email, decision, now, (one) => endInTime(one, email.state, terms));
  return 'feedback' in outcome ? withFeedback(email, decision, outcome.feedback, now) : decision;
}

/**
 * Whether this attempt did not include the recipient. Sandbox recipients and real ones are attempted separately, so an outcome counts for one
 * kind only, unless a reply names the recipient.
 */
function isPassedOver(recipient: Recipient, outcome: SettledOutcome): boolean {
  if (outcome.to?.includes(recipient.address) === false) return true;
  if (!('transport' in outcome) || outcome.kind === 'answered') return false;
  if (outcome.kind === 'unknown' && replyFor(recipient, outcome.refused) !== null) return false;
  return isSandbox(recipient.address) !== (outcome.transport === sandboxTransport);
}

/** Applies feedback to the recipients this attempt sent to. */
function withFeedback(email: StoredEmail, first: Decision, feedback: readonly Feedback[], now: number): Decision {
  return thenMove(email, first, now, (recipient) => {
    const heard = feedback.find(({ address }) => address === recipient.address);
    return recipient.status === 'sent' && heard !== undefined ? { ...recipient, status: heard.kind } : recipient;
  });
}

/** A second step with its own events, for the recipients that the first one moved. */
function thenMove(email: StoredEmail, first: Decision, now: number, next: (one: Recipient) => Recipient): Decision {
  const recipients = first.state.recipients.map((one, n) => (one === email.state.recipients[n] ? one : next(one)));
  const moved = { ...email, state: first.state };
  const second = decisionOf(moved, { ...first.state, recipients }, now, (_, { status }) => eventOf(status));
  return { ...second, events: [...first.events, ...second.events] };
}

/**
 * The recipient was rescheduled during the attempt. Then a temporary obstacle of that attempt no longer matters. A final reply of the next hop
 * still counts, and so does a message that may have been handed over.
 */
function isMoot(before: Recipient, { kind }: SettledOutcome, after: Recipient, now: number): boolean {
  const waitsForItsTime = before.status === 'scheduled' && (before.nextAttemptAt ?? 0) > now;
  const isLastWord = kind === 'unknown' || (kind === 'answered' && !isPending(after.status));
  return waitsForItsTime && !isLastWord;
}

/** The new state with its events. `eventFor` names the event of one recipient; null for none. */
export function decisionOf(
  email: StoredEmail,
  after: EmailState,
  now: number,
  eventFor: (before: Recipient, after: Recipient) => EmailEventType | null,
): Decision {
  const events = eventsOf(email, after.recipients, now, eventFor);
  return {
    state: {
      ...after,
      sequence: email.state.sequence + events.length,
      lastEvent: events.at(-1)?.type ?? email.state.lastEvent,
    },
    events,
    again: nextDue(after),
  };
}

/** What the time of a retry depends on, and whether a refused login is the message's own. */
type Terms = { readonly policy: RetryPolicy; readonly now: number; readonly rand: number; readonly isOwn?: boolean };

function move(email: StoredEmail, recipient: Recipient, outcome: SettledOutcome, terms: Terms): Recipient {
  const { policy, now, rand } = terms;
  switch (outcome.kind) {
    case 'answered': {
      const reply = replyFor(recipient, outcome.replies);
      if (reply === null) return recipient;
      return answer(email.state, recipient, reply, outcome.transport, { ...terms, isOwn: isOwnRefusal(outcome) });
    }
    case 'unknown': {
      const reply = replyFor(recipient, outcome.refused);
      if (reply !== null) return answer(email.state, recipient, reply, outcome.transport, terms);
      const attempts = recipient.attempts + 1;
      const { transport, detail: reason } = outcome;
      // After an unknown outcome each try may be a repeat, so no extra try is added before the end.
      const told = { smtp: null, reason, unanswered: reason, keepsToSchedule: true } as const;
      const unknown = { ...recipient, attempts, transport, ...told };
      if (email.facts.onUnknown === 'hold') return { ...unknown, status: 'outcome_unknown', nextAttemptAt: null };
      return { ...unknown, status: 'deferred', nextAttemptAt: nextTry(policy.scheduleMs, attempts, now, rand) };
    }
    case 'awaited':
      return recipient;
    case 'transport_fault':
      return waitForTransport(recipient, outcome.transport, outcome.detail, terms);
    case 'undeliverable':
      if (outcome.recipients?.includes(recipient.address) === false) return recipient;
      return {
        ...recipient,
        status: 'failed',
        transport: outcome.isUnmade ? null : outcome.transport,
        smtp: null,
        reason: outcome.detail,
        nextAttemptAt: null,
      };
    case 'fetch_fault': {
      const attempts = recipient.attempts + 1;
      const failed = { ...recipient, attempts, transport: null, smtp: null, reason: outcome.detail };
      if (outcome.isFinal || attempts >= maxFetchTries) return { ...failed, status: 'failed', nextAttemptAt: null };
      return { ...failed, status: 'deferred', nextAttemptAt: nextTry(policy.scheduleMs, attempts, now, rand) };
    }
    case 'expired': {
      const { expiresAt } = email.state;
      // A change in the meantime may have given it more time.
      if (expiresAt === null || expiresAt > now) return recipient;
      return expire({ ...recipient, reason: outcome.why ?? recipient.reason });
    }
    case 'suppressed': {
      const found = outcome.recipients.find(({ address }) => address === suppressedForm(recipient.address));
      if (found === undefined) return recipient;
      return { ...recipient, status: 'suppressed', smtp: null, reason: found.reason, nextAttemptAt: null };
    }
  }
}

function replyFor(recipient: Recipient, replies: readonly RecipientReply[]) {
  return replies.find((reply) => reply.address === recipient.address)?.smtp ?? null;
}

function answer(
  state: EmailState,
  recipient: Recipient,
  smtp: RecipientReply['smtp'],
  transport: string,
  terms: Terms,
): Recipient {
  const { policy, now, rand, isOwn = false } = terms;
  const attempts = recipient.attempts + 1;
  const settled = { ...recipient, attempts, transport, smtp, reason: null, nextAttemptAt: null };
  const { action, waitMs } = classify(smtp);
  switch (isOwn && isLoginRefusal(smtp) ? 'retry' : action) {
    case 'accept':
      return { ...settled, status: 'sent' };
    case 'fail':
      return { ...settled, status: 'bounced' };
    case 'retry':
    case 'slow_down': {
      const asked = nextTry(policy.scheduleMs, attempts, now, rand, waitMs ?? 0);
      // When the server asks for a wait beyond the end, the schedule decides: the server may still take the message before the end.
      const isInTime = !isOver(state, policy, asked);
      const nextAttemptAt = isInTime ? asked : nextTry(policy.scheduleMs, attempts, now, rand);
      return { ...settled, status: 'deferred', nextAttemptAt };
    }
    case 'stop_transport':
      return waitForTransport(recipient, transport, smtp.reply, terms);
  }
}

/** A late answer to an attempt that counted as unknown. A final reply still counts; any other changes nothing. */
function answerLate(state: EmailState, recipient: Recipient, outcome: SettledOutcome, terms: Terms): Recipient {
  if (isFinal(recipient.status) || outcome.kind !== 'answered') return recipient;
  const reply = replyFor(recipient, outcome.replies);
  if (reply === null) return recipient;
  // The attempt was counted already when it became unknown.
  const answered = { ...answer(state, recipient, reply, outcome.transport, terms), attempts: recipient.attempts };
  return isFinal(answered.status) ? answered : recipient;
}

/** Trouble of the transport's own: the recipient keeps its status, and no attempt is counted. An earlier reply may be of another transport. */
function waitForTransport(recipient: Recipient, transport: string, reason: string, { now, rand }: Terms): Recipient {
  const status = recipient.status === 'scheduled' ? 'queued' : recipient.status;
  return { ...recipient, status, transport, smtp: null, reason, nextAttemptAt: nextTry([faultWaitMs], 1, now, rand) };
}

/** When an email is given up, milliseconds since the epoch. An end that the caller set replaces the age limit. */
export function endOf(state: EmailState, policy: RetryPolicy): number {
  return state.expiresAt ?? state.since + policy.maxAgeMs;
}

/** At an end that the caller set, nothing is sent any more; at the age limit there is still a last try. */
function isOver(state: EmailState, policy: RetryPolicy, at: number): boolean {
  const end = endOf(state, policy);
  return state.expiresAt === null ? at > end : at >= end;
}

/**
 * Handles a retry that would come after the end. When the caller set the end (ttl, expires_at), one last try is moved before it. At the age
 * limit the recipient fails now.
 */
function endInTime(recipient: Recipient, state: EmailState, { policy, now, rand }: Terms): Recipient {
  if (recipient.nextAttemptAt === null || !isOver(state, policy, recipient.nextAttemptAt)) return recipient;
  if (state.expiresAt !== null) {
    const nextAttemptAt = recipient.keepsToSchedule ? null : lastTry(now, state.expiresAt, rand);
    return nextAttemptAt === null ? expire(recipient) : { ...recipient, nextAttemptAt, keepsToSchedule: true };
  }
  const reason = `not delivered within its age limit${because(recipient)}`;
  return { ...recipient, status: 'failed', nextAttemptAt: null, reason };
}

function expire(recipient: Recipient): Recipient {
  const reason = `not delivered before it expired${because(recipient)}`;
  return { ...recipient, status: 'expired', nextAttemptAt: null, reason };
}

function because({ reason }: Recipient): string {
  return reason === null ? '' : `: ${reason}`;
}
