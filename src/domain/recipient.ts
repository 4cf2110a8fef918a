/** The recipient, which is the unit of state: one recipient of one email, its states and their ranks. */

export const recipientKinds = ['to', 'cc', 'bcc'] as const;
export type RecipientKind = (typeof recipientKinds)[number];

/** Pending states first, then final ones. The number is the rank: a recipient never moves to a lower one. */
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

/** An SMTP reply as the next hop sent it. `enhanced` is the x.y.z of RFC 3463, when there was one. */
export type SmtpReply = { readonly code: number; readonly enhanced: string | null; readonly reply: string };

export type Recipient = {
  readonly kind: RecipientKind;
  readonly address: string;
  readonly name?: string;
  readonly status: RecipientStatus;
  /** Attempts of the message itself: trouble of the transport is not counted. */
  readonly attempts: number;
  readonly smtp: SmtpReply | null;
  readonly transport: string | null;
  /** Milliseconds since the epoch; null when final. */
  readonly nextAttemptAt: number | null;
  /** Why it has this status, in words, when no reply says so. */
  readonly reason: string | null;
  /** The link in this email was used to unsubscribe. Its event is emitted once. */
  readonly hasUnsubscribed?: true;
  /** No extra try before the end: there was one already, or the message may have been handed over. */
  readonly keepsToSchedule?: true;
  /** Why an attempt got no answer: the server may have the message since then. */
  readonly unanswered?: string;
};

export function isPending(status: RecipientStatus): boolean {
  return rankOf[status] < rankOf.outcome_unknown;
}

/** A held recipient is neither pending nor final: somebody has to decide. */
export function isFinal(status: RecipientStatus): boolean {
  return rankOf[status] > rankOf.outcome_unknown;
}

/** Whether a caller may have it sent again, whatever a reply said. */
export function isRetryable(status: RecipientStatus): boolean {
  return status === 'failed' || status === 'expired' || status === 'outcome_unknown';
}

/** The status of an email, from its recipients: pending states come first, then the worst outcome. */
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

/** When the earliest pending recipient is due, milliseconds since the epoch; null when none is pending. */
export function nextDue({ recipients }: { readonly recipients: readonly Recipient[] }): number | null {
  const due = recipients.map((recipient) => recipient.nextAttemptAt).filter((at) => at !== null);
  return due.length === 0 ? null : Math.min(...due);
}

/** The addresses of an attempt at these recipients, each once, and the fewest attempts that one of them had. */
export function askedFor(recipients: readonly Recipient[]): { to: string[]; attempts: number } {
  const to = [...new Set(recipients.map(({ address }) => address))];
  return { to, attempts: Math.min(...recipients.map((recipient) => recipient.attempts)) };
}
