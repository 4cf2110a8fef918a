/** The unit of state: one recipient of one email, its states and their ranks. */

export const recipientKinds = ['to', 'cc', 'bcc'] as const;
export type RecipientKind = (typeof recipientKinds)[number];

/** Pending states first, then final ones; the number is the rank, and a recipient never moves to a lower rank. */
export const rankOf = {
  scheduled: 0,
  queued: 1,
  deferred: 1,
  sending: 1,
  outcome_unknown: 2,
  sent: 3,
  suppressed: 3,
  canceled: 3,
  expired: 3,
  failed: 3,
  delivered: 4,
  bounced: 5,
  complained: 6,
} as const;

export type RecipientStatus = keyof typeof rankOf;
export const recipientStatuses = Object.keys(rankOf) as readonly RecipientStatus[];

/** An SMTP reply as the next hop gave it; `enhanced` is RFC 3463's x.y.z, where there was one. */
export type SmtpReply = { readonly code: number; readonly enhanced: string | null; readonly reply: string };

export type Recipient = {
  readonly kind: RecipientKind;
  readonly address: string;
  readonly name?: string;
  readonly status: RecipientStatus;
  /** Attempts that were the message's own: transport trouble is not counted. */
  readonly attempts: number;
  readonly smtp: SmtpReply | null;
  readonly transport: string | null;
  /** Milliseconds since the epoch; null once final. */
  readonly nextAttemptAt: number | null;
  /** Why it stands where it stands, in words, where no reply says so. */
  readonly reason: string | null;
  /** By the link in this email, which is told of once. */
  readonly hasUnsubscribed?: true;
  /** No try more than the schedule has: it was given the one before the end of its time, or may have been handed over already. */
  readonly keepsToSchedule?: true;
  /** Why an attempt came to no answer: the server may have the message since. */
  readonly unanswered?: string;
};

export function isPending(status: RecipientStatus): boolean {
  return rankOf[status] < rankOf.outcome_unknown;
}

/** A held recipient is neither pending nor final: somebody has yet to decide. */
export function isFinal(status: RecipientStatus): boolean {
  return rankOf[status] > rankOf.outcome_unknown;
}

/** The email's status from its recipients: what still moves comes first, then the worst that happened. */
export function rollUp(statuses: readonly RecipientStatus[]): RecipientStatus {
  return order.find((status) => statuses.includes(status)) ?? 'queued';
}

const order: readonly RecipientStatus[] = [
  'sending',
  'deferred',
  'queued',
  'scheduled',
  'outcome_unknown',
  'complained',
  'bounced',
  'failed',
  'expired',
  'suppressed',
  'canceled',
  'sent',
  'delivered',
];

/** When the earliest pending recipient is due, milliseconds since the epoch; null when none is left. Pending recipients are tried together. */
export function nextDue({ recipients }: { readonly recipients: readonly Recipient[] }): number | null {
  const due = recipients.map((recipient) => recipient.nextAttemptAt).filter((at) => at !== null);
  return due.length === 0 ? null : Math.min(...due);
}
