/** Suppressions: addresses that get no more mail, why, and which mail that is. */
import { z } from 'zod';
import { composed, makeMailbox } from './address.ts';
import { classify } from './classify.ts';
import type { EmailState, StoredEmail } from './email.ts';
import type { EmailEvent } from './event.ts';
import { isoOf } from './iso-time.ts';
import type { Lane } from './lane.ts';
import type { Change, RecipientReply, SettledOutcome } from './outcome.ts';
import { isPending, type Recipient } from './recipient.ts';
import { isSandbox } from './sandbox.ts';

/** Each with what it says of the address. */
export const suppressionReasons = {
  bounce: 'mail to it was permanently refused',
  complaint: 'its owner reported mail as spam',
  unsubscribe: 'its owner unsubscribed',
  manual: 'somebody put it on the list',
} as const;

export type SuppressionReason = keyof typeof suppressionReasons;

/**
 * Which of two entries stands for one address and scope: that of the higher rank, or the first of the same. What the owner said must not end with
 * an entry that others made, so it replaces theirs; to unsubscribe is said in so many words. A bounce is last: the next mail would find it again.
 */
export const reasonRanks = { bounce: 0, manual: 1, complaint: 2, unsubscribe: 3 } as const satisfies Record<
  SuppressionReason,
  number
>;

export const suppressionScopes = ['all', 'bulk'] as const;

/** `all` mail, or only what goes in the lane `bulk`. */
export type SuppressionScope = (typeof suppressionScopes)[number];

/** One for each address and scope; which one, `reasonRanks` says. */
export type Suppression = {
  readonly id: string;
  /** As `suppressedForm` has it. */
  readonly address: string;
  readonly scope: SuppressionScope;
  readonly reason: SuppressionReason;
  /** The email that led to it. */
  readonly emailId: string | null;
  readonly note: string | null;
};

const maxNoteLength = 500;

const address = z
  .string()
  .transform((text, context): string => {
    const parsed = makeMailbox(text, undefined);
    if (!('fault' in parsed)) return suppressedForm(parsed.address);
    context.addIssue({ code: 'custom', message: parsed.fault });
    return z.NEVER;
  })
  .meta({
    type: 'string',
    description: 'The address, without a name. Upper and lower case are the same.',
    examples: ['ada@example.com'],
  });

export const suppressionFields = {
  email: address,
  scope: z.enum(suppressionScopes).default('all').meta({
    description: 'Which mail it no longer gets: `all`, or only mail in the lane `bulk`.',
  }),
  reason: z
    .enum(Object.keys(suppressionReasons) as SuppressionReason[])
    .default('manual')
    .meta({ description: `The reason: ${listed(suppressionReasons)}.` }),
  note: z.string().max(maxNoteLength).nullable().optional().meta({ description: 'A note for people.' }),
};

function listed(meanings: Readonly<Record<string, string>>): string {
  return Object.entries(meanings)
    .map(([name, meaning]) => `\`${name}\` ${meaning}`)
    .join(', ');
}

export const suppressionRequest = z.strictObject(suppressionFields).meta({
  id: 'SuppressionRequest',
  description: 'An address to suppress.',
  examples: [{ email: 'ada@example.com', scope: 'bulk', reason: 'unsubscribe', note: 'asked by phone' }],
});

/** One of an upload: lists of other systems say more, which is passed over. */
export const suppressionRecord = z.object(suppressionFields);

type SuppressionRequest = z.output<typeof suppressionRequest>;

export function makeSuppression(request: SuppressionRequest, id: string): Suppression {
  const { email: address, scope, reason, note = null } = request;
  return { id, address, scope, reason, emailId: null, note };
}

/**
 * Servers may distinguish local parts by their case (RFC 5321 section 2.4), but no server in real use does. Composed once more, because
 * some letters with an accent are a single character only in lower case, such as U+01F0.
 */
export function suppressedForm(address: string): string {
  return composed(address.toLowerCase());
}

/** The form in which an address to look up is stored. Other text is returned unchanged, and not found. */
export function soughtForm(text: string): string {
  const parsed = makeMailbox(text, undefined);
  return suppressedForm('fault' in parsed ? text : parsed.address);
}

/** The scopes of a suppression that stop mail of this lane. */
export function scopesOf(lane: Lane): readonly SuppressionScope[] {
  return lane === 'bulk' ? suppressionScopes : ['all'];
}

/** The suppressions that follow from the next hop's answers and from later feedback. Sandbox recipients are never suppressed. */
export function suppressionsOf(
  email: StoredEmail,
  after: EmailState,
  what: SettledOutcome | Change,
  newId: () => string,
): Suppression[] {
  return after.recipients.flatMap((recipient, place) => {
    const before = email.state.recipients[place];
    const verdict = before?.status === recipient.status ? null : verdictOn(recipient, what, email.facts.lane);
    if (verdict === null || isSandbox(recipient.address)) return [];
    const address = suppressedForm(recipient.address);
    return [{ id: newId(), address, ...verdict, emailId: email.facts.id, note: null }];
  });
}

/** Marks the bounces that put all of their recipients onto the list. */
export function withSuppressed(events: readonly EmailEvent[], made: readonly Suppression[]): readonly EmailEvent[] {
  const bounced = new Set(made.filter(({ reason }) => reason === 'bounce').map(({ address }) => address));
  return events.map((event) =>
    event.type === 'email.bounced' && event.to.every((address) => bounced.has(suppressedForm(address)))
      ? { ...event, suppressed: true }
      : event,
  );
}

/** Who complains of bulk mail may still want a login code. */
function verdictOn(
  recipient: Recipient,
  what: SettledOutcome | Change,
  lane: Lane,
): Pick<Suppression, 'scope' | 'reason'> | null {
  const { status, smtp } = recipient;
  if (status === 'complained') return { scope: lane === 'bulk' ? 'bulk' : 'all', reason: 'complaint' };
  if (status !== 'bounced' || smtp === null || !classify(smtp).suppress) return null;
  return isOfAddress(recipient, what) ? { scope: 'all', reason: 'bounce' } : null;
}

/** MAIL is answered about the sender, and a message to several may be refused for the sake of any of them. */
function isOfAddress({ address }: Recipient, what: SettledOutcome | Change): boolean {
  const replies = repliesOf(what);
  const stage = replies.find((reply) => reply.address === address)?.stage;
  return stage === undefined || (stage === 'data' && replies.length === 1);
}

function repliesOf(what: SettledOutcome | Change): readonly RecipientReply[] {
  if (what.kind === 'answered') return what.replies;
  return what.kind === 'unknown' ? what.refused : [];
}

/** Whom an email would be sent to, in the form in which they would be suppressed. */
export function pendingAddresses({ state }: StoredEmail): string[] {
  const pending = state.recipients.filter(({ status, address }) => isPending(status) && !isSandbox(address));
  return [...new Set(pending.map(({ address }) => suppressedForm(address)))];
}

/** Why a recipient gets nothing, in words. @param since milliseconds since the epoch */
export function wordSuppression({ reason, scope }: Pick<Suppression, 'reason' | 'scope'>, since: number): string {
  const what = scope === 'all' ? 'mail' : 'bulk mail';
  return `suppressed for ${what} since ${isoOf(since)}: ${suppressionReasons[reason]}`;
}
