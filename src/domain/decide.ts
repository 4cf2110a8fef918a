/** The decision behind `settle`: an email and an outcome in; states, events and the next try out. Pure. */
import { classify } from './classify.ts';
import type { EmailState, StoredEmail } from './email.ts';
import { type EmailEvent, type EmailEventType, eventOf } from './event.ts';
import { eventId } from './id.ts';
import type { RecipientReply, SettledOutcome } from './outcome.ts';
import { isPending, nextDue, type Recipient, rankOf } from './recipient.ts';
import { nextTry } from './schedule.ts';

export type RetryPolicy = {
  /** Waits between attempts, milliseconds; the last one repeats. */
  readonly scheduleMs: readonly number[];
  /** From accept; past it a recipient that is still pending fails. */
  readonly maxAgeMs: number;
};

/** Wait after trouble of the transport's own, which burns no attempt. */
const faultWaitMs = 5_000;

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
  const before = email.state.recipients;
  const after = before.map((recipient) => {
    if (!isPending(recipient.status)) return recipient;
    const moved = move(recipient, outcome, policy, now, rand);
    if (rankOf[moved.status] < rankOf[recipient.status]) return recipient;
    return endAtMaxAge(moved, email.facts.createdAt + policy.maxAgeMs);
  });
  const events = eventsOf(email, after, outcome, now);
  return {
    state: {
      recipients: after,
      sequence: email.state.sequence + events.length,
      lastEvent: events.at(-1)?.type ?? email.state.lastEvent,
    },
    events,
    again: nextDue({ recipients: after }),
  };
}

function move(
  recipient: Recipient,
  outcome: SettledOutcome,
  policy: RetryPolicy,
  now: number,
  rand: number,
): Recipient {
  switch (outcome.kind) {
    case 'answered': {
      const reply = replyFor(recipient, outcome.replies);
      return reply === null ? recipient : answer(recipient, reply, outcome.transport, policy, now, rand);
    }
    case 'unknown': {
      const reply = replyFor(recipient, outcome.refused);
      if (reply !== null) return answer(recipient, reply, outcome.transport, policy, now, rand);
      const attempts = recipient.attempts + 1;
      const nextAttemptAt = nextTry(policy.scheduleMs, attempts, now, rand);
      const { transport, detail: reason } = outcome;
      return { ...recipient, status: 'deferred', attempts, transport, smtp: null, reason, nextAttemptAt };
    }
    case 'transport_fault':
      return {
        ...recipient,
        transport: outcome.transport,
        reason: outcome.detail,
        nextAttemptAt: nextTry([faultWaitMs], 1, now, rand),
      };
    case 'undeliverable':
      return {
        ...recipient,
        status: 'failed',
        transport: outcome.transport,
        reason: outcome.detail,
        nextAttemptAt: null,
      };
  }
}

function replyFor(recipient: Recipient, replies: readonly RecipientReply[]) {
  return replies.find((reply) => reply.address === recipient.address)?.smtp ?? null;
}

function answer(
  recipient: Recipient,
  smtp: RecipientReply['smtp'],
  transport: string,
  policy: RetryPolicy,
  now: number,
  rand: number,
): Recipient {
  const attempts = recipient.attempts + 1;
  const settled = { ...recipient, attempts, transport, smtp, reason: null, nextAttemptAt: null };
  const action = classify(smtp);
  switch (action) {
    case 'accept':
      return { ...settled, status: 'sent' };
    case 'fail':
      return { ...settled, status: 'bounced' };
    case 'retry':
      return { ...settled, status: 'deferred', nextAttemptAt: nextTry(policy.scheduleMs, attempts, now, rand) };
  }
}

/** A try that could only come after the age limit is not waited for. */
function endAtMaxAge(recipient: Recipient, deadline: number): Recipient {
  if (recipient.nextAttemptAt === null || recipient.nextAttemptAt <= deadline) return recipient;
  const reason = `not delivered within its age limit${recipient.reason === null ? '' : `: ${recipient.reason}`}`;
  return { ...recipient, status: 'failed', nextAttemptAt: null, reason };
}

/** One event for each group of recipients that moved in the same way with the same reply. */
function eventsOf(email: StoredEmail, after: readonly Recipient[], outcome: SettledOutcome, now: number): EmailEvent[] {
  const groups = new Map<string, { type: EmailEventType; members: Recipient[] }>();
  for (const [index, recipient] of after.entries()) {
    const type = eventFor(email.state.recipients[index], recipient, outcome);
    if (type === null) continue;
    const key = JSON.stringify([type, recipient.smtp, recipient.reason]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { type, members: [recipient] });
    else group.members.push(recipient);
  }
  return [...groups.values()].map(({ type, members }, index) => ({
    id: eventId(email.facts.id, email.state.sequence + index + 1),
    type,
    at: now,
    emailId: email.facts.id,
    sequence: email.state.sequence + index + 1,
    to: members.map((member) => member.address),
    attempt: Math.max(...members.map((member) => member.attempts)),
    transport: members[0]?.transport ?? null,
    smtp: members[0]?.smtp ?? null,
    reason: members[0]?.reason ?? null,
  }));
}

/** An unknown outcome is told each time, since each may be a repeat; a deferral when it is the first or its cause changed. */
function eventFor(before: Recipient | undefined, after: Recipient, outcome: SettledOutcome): EmailEventType | null {
  if (before === undefined || before === after || !isPending(before.status)) return null;
  const unanswered = outcome.kind === 'unknown' && after.smtp === null;
  if (unanswered && after.status === 'deferred') return 'email.outcome_unknown';
  if (after.status === before.status && (after.status !== 'deferred' || sameCause(before, after))) return null;
  return eventOf(after.status);
}

function sameCause(before: Recipient, after: Recipient): boolean {
  return (
    before.smtp?.code === after.smtp?.code &&
    before.smtp?.enhanced === after.smtp?.enhanced &&
    before.reason === after.reason
  );
}
