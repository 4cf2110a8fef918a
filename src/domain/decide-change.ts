/** The decision about cancel, reschedule and retry: what a caller may still change about an accepted email, or why it is too late. Pure. */
import { classify } from './classify.ts';
import { type Decision, decisionOf } from './decide.ts';
import type { EmailState, StoredEmail } from './email.ts';
import { type EmailEvent, eventOf } from './event.ts';
import { eventId } from './id.ts';
import type { Change } from './outcome.ts';
import { isFinal, isPending, isRetryable, nextDue, type Recipient } from './recipient.ts';
import { recipientCategories } from './reply-row.ts';
import { suppressedForm } from './suppression.ts';

/** Why a change was refused, as the rest of a sentence. */
export type Refusal = { readonly refused: string };

export function decideChange(email: StoredEmail, change: Change, now: number): Decision | Refusal {
  if (email.handOver !== null) return { refused: 'it is being handed over to the next hop at this moment' };
  if (change.kind === 'unsubscribed') return decideUnsubscribed(email, change.suppression.address, now);
  const { recipients } = email.state;
  const after = changeState(email, change, now);
  if ('refused' in after) return after;
  if (after.recipients.every((recipient, index) => recipient === recipients[index]))
    return { refused: noneLeft[change.kind] };
  return decisionOf(email, after, now, (_, { status }) => eventOf(status));
}

/** Changes no recipient's status. It only adds an event to the email, once, however often the link is followed. */
function decideUnsubscribed({ facts, state }: StoredEmail, address: string, now: number): Decision | Refusal {
  const recipient = state.recipients.find((one) => suppressedForm(one.address) === address);
  if (recipient === undefined) return { refused: 'it was not for this address' };
  if (recipient.hasUnsubscribed) return { refused: 'it told of that before' };
  const recipients = state.recipients.map((one) =>
    one === recipient ? { ...one, hasUnsubscribed: true as const } : one,
  );
  const sequence = state.sequence + 1;
  const event: EmailEvent = {
    id: eventId(facts.id, sequence),
    type: 'email.unsubscribed',
    at: now,
    emailId: facts.id,
    sequence,
    to: [recipient.address],
    attempt: recipient.attempts,
    transport: recipient.transport,
    smtp: null,
    reason: null,
  };
  return { state: { ...state, recipients, sequence, lastEvent: event.type }, events: [event], again: nextDue(state) };
}

type Moving = Exclude<Change, { kind: 'unsubscribed' }>;

const noneLeft = {
  canceled: 'no recipient is waiting or held any more',
  rescheduled: 'it is no longer scheduled',
  retried: 'no recipient failed, expired, is held, or was refused for a reason other than the recipient',
} as const satisfies Record<Moving['kind'], string>;

/** Also a refused recipient can be retried when the reply is about the sender, its account or the message: that may have been fixed since. */
function mayBeRetried({ status, smtp }: Recipient): boolean {
  if (status !== 'bounced') return isRetryable(status);
  return smtp !== null && !recipientCategories.includes(classify(smtp).category);
}

/** A cancel does not bring back a message that the server may already have. */
function reasonOfCancel({ unanswered }: Recipient): string {
  if (unanswered === undefined) return 'canceled by request';
  return `canceled by request; an attempt before it may have been handed over: ${unanswered}`;
}

function changeState({ state, facts }: StoredEmail, change: Moving, now: number): EmailState | Refusal {
  const each = (isMeant: (recipient: Recipient) => boolean, to: (recipient: Recipient) => Recipient) =>
    state.recipients.map((recipient) => (isMeant(recipient) ? to(recipient) : recipient));
  switch (change.kind) {
    case 'canceled': {
      const canceled = { status: 'canceled', nextAttemptAt: null } as const;
      return {
        ...state,
        recipients: each(
          ({ status }) => !isFinal(status),
          (recipient) => ({ ...recipient, ...canceled, reason: reasonOfCancel(recipient) }),
        ),
      };
    }
    case 'rescheduled': {
      if (facts.campaignId !== null && state.recipients.some(({ status }) => status === 'scheduled'))
        return {
          refused: `it is sent with its campaign: POST /v1/campaigns/${facts.campaignId}/send takes another time`,
        };
      const since = Math.max(change.at, now);
      const expiresAt = facts.ttlMs === null ? state.expiresAt : since + facts.ttlMs;
      if (expiresAt !== null && expiresAt <= since) return { refused: 'it would have expired by then' };
      const waiting = { status: change.at > now ? 'scheduled' : 'queued', nextAttemptAt: since } as const;
      const recipients = each(
        ({ status }) => status === 'scheduled',
        (recipient) => ({ ...recipient, ...waiting }),
      );
      return { ...state, recipients, scheduledAt: change.at, since, expiresAt };
    }
    case 'retried': {
      const queued = { status: 'queued', attempts: 0, nextAttemptAt: now, smtp: null, reason: null } as const;
      const recipients = each(mayBeRetried, ({ keepsToSchedule, ...recipient }) => ({ ...recipient, ...queued }));
      return { ...state, recipients, ...timeOfRetry(state, facts.ttlMs, now) };
    }
  }
}

/** A retry has its whole time before it, except that an end which lies ahead stays, and so does the time of those who still wait. */
function timeOfRetry(state: EmailState, ttlMs: number | null, now: number): Pick<EmailState, 'since' | 'expiresAt'> {
  const { recipients, since, expiresAt } = state;
  const isOver = expiresAt !== null && expiresAt <= now;
  if (!isOver && recipients.some(({ status }) => isPending(status))) return { since, expiresAt };
  if (ttlMs !== null) return { since: now, expiresAt: now + ttlMs };
  return { since: now, expiresAt: isOver ? null : expiresAt };
}
