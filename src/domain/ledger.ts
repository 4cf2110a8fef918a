/** What a commit comes to in numbers: states entered, what an attempt is counted as, and how long was waited. Pure. */
import { classify } from './classify.ts';
import type { EmailState, StoredEmail } from './email.ts';
import type { Change, SettledOutcome } from './outcome.ts';
import { isPending, nextDue, type RecipientStatus } from './recipient.ts';

export const attemptOutcomes = ['sent', 'deferred', 'bounced', 'unknown', 'transport_fault', 'undeliverable'] as const;
export type AttemptOutcome = (typeof attemptOutcomes)[number];

/** The state of each recipient that came into another one. What was heard of a message at once went through `sent`. */
export function statesEntered(before: EmailState, after: EmailState): RecipientStatus[] {
  return after.recipients.flatMap(({ status }, index) => {
    const was = before.recipients[index]?.status;
    if (was === status) return [];
    const isFeedback = status === 'delivered' || status === 'complained';
    return isFeedback && was !== undefined && isPending(was) ? (['sent', status] as const) : [status];
  });
}

/** Of an attempt at a transport; null for what did not come to one. The best that any recipient was answered counts. */
export function attemptOutcomeOf(what: SettledOutcome | Change): AttemptOutcome | null {
  switch (what.kind) {
    case 'answered': {
      const actions = what.replies.map(({ smtp }) => classify(smtp).action);
      if (actions.includes('accept')) return 'sent';
      if (actions.includes('retry') || actions.includes('slow_down')) return 'deferred';
      return actions.includes('fail') ? 'bounced' : 'transport_fault';
    }
    case 'unknown':
    case 'transport_fault':
    case 'undeliverable':
      return what.kind;
    case 'fetch_fault':
    case 'expired':
    case 'suppressed':
    case 'canceled':
    case 'rescheduled':
    case 'retried':
    case 'unsubscribed':
      return null;
  }
}

/** Milliseconds from when an email was due to when a server was spoken to about it; null where none was. */
export function waitBefore({ state }: StoredEmail, what: SettledOutcome | Change, now: number): number | null {
  const dueAt = nextDue(state);
  if (dueAt === null || !('trace' in what) || what.trace === undefined) return null;
  const { connect, envelope, body } = what.trace.ms;
  return Math.max(0, now - dueAt - (connect ?? 0) - (envelope ?? 0) - (body ?? 0));
}
