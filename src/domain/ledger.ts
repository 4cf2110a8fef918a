/** The numbers that a commit adds to the metrics: states entered, the kind of attempt, and the time waited. Pure. */
import { classify } from './classify.ts';
import type { EmailState, StoredEmail } from './email.ts';
import type { Change, SettledOutcome } from './outcome.ts';
import { isPending, nextDue, type RecipientStatus } from './recipient.ts';

export const attemptOutcomes = ['sent', 'deferred', 'bounced', 'unknown', 'transport_fault', 'undeliverable'] as const;
export type AttemptOutcome = (typeof attemptOutcomes)[number];

/** The new state of each recipient that changed. A recipient with immediate feedback went through `sent`. */
export function statesEntered(before: EmailState, after: EmailState): RecipientStatus[] {
  return after.recipients.flatMap(({ status }, index) => {
    const was = before.recipients[index]?.status;
    if (was === status) return [];
    const isFeedback = status === 'delivered' || status === 'complained';
    return isFeedback && was !== undefined && isPending(was) ? (['sent', status] as const) : [status];
  });
}

/** What an attempt counts as; null for a step without an attempt. The best reply of any recipient counts. */
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
    case 'awaited':
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

/** Milliseconds from when an email was due until a server was contacted for it; null when none was. */
export function waitBefore({ state }: StoredEmail, what: SettledOutcome | Change, now: number): number | null {
  const dueAt = nextDue(state);
  if (dueAt === null || !('trace' in what) || what.trace === undefined) return null;
  const { connect, envelope, body } = what.trace.ms;
  return Math.max(0, now - dueAt - (connect ?? 0) - (envelope ?? 0) - (body ?? 0));
}
