/** The events that report a change: which of them, and for which recipients. Pure. */
import type { StoredEmail } from './email.ts';
import { type EmailEvent, type EmailEventType, eventOf } from './event.ts';
import { eventId } from './id.ts';
import type { SettledOutcome } from './outcome.ts';
import { isFinal, isPending, type Recipient } from './recipient.ts';

/** One event for each group of recipients that changed in the same way with the same reply. */
export function eventsOf(
  email: StoredEmail,
  after: readonly Recipient[],
  now: number,
  eventFor: (before: Recipient, after: Recipient) => EmailEventType | null,
): EmailEvent[] {
  const groups = new Map<string, { type: EmailEventType; members: Recipient[] }>();
  for (const [index, recipient] of after.entries()) {
    const before = email.state.recipients[index];
    const type = before === undefined || before === recipient ? null : eventFor(before, recipient);
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

/** Whether the server may have the message of this attempt for the recipient. Its event comes first, also when its time is over by then. */
export function isUnanswered(before: Recipient, after: Recipient, { kind }: SettledOutcome): boolean {
  return kind === 'unknown' && after.smtp === null && after.attempts > before.attempts;
}

/** An unknown outcome has an event each time, since each may be a repeat. A deferral has one when it is the first, or its cause changed. */
export function eventFor(before: Recipient, after: Recipient, outcome: SettledOutcome): EmailEventType | null {
  if (isFinal(before.status)) return null;
  if (isUnanswered(before, after, outcome) && after.status === 'deferred') return 'email.outcome_unknown';
  // After trouble of the transport's own, which counts no attempt, a recipient keeps waiting: that is no event.
  if (isPending(after.status) && after.attempts === before.attempts) return null;
  if (after.status === before.status && sameCause(before, after)) return null;
  return eventOf(after.status);
}

function sameCause(before: Recipient, after: Recipient): boolean {
  return (
    before.smtp?.code === after.smtp?.code &&
    before.smtp?.enhanced === after.smtp?.enhanced &&
    before.reason === after.reason
  );
}
