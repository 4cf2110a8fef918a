/** The kind of bounce for each category of reply, in the words of SES, which consumers of the Resend API know. */
import { classify } from './classify.ts';
import type { SmtpReply } from './recipient.ts';
import type { ReplyCategory } from './reply-row.ts';

export const bounceTypes = ['Permanent', 'Transient', 'Undetermined'] as const;
export const bounceSubTypes = ['General', 'MailboxFull', 'MessageTooLarge', 'ContentRejected', 'Undetermined'] as const;

type BounceKind = {
  readonly type: (typeof bounceTypes)[number];
  readonly subType: (typeof bounceSubTypes)[number];
};

const nobody = { type: 'Permanent', subType: 'General' } as const;
/** Another message, sender or time may succeed. */
const notThisTime = { type: 'Transient', subType: 'General' } as const;
const content = { type: 'Transient', subType: 'ContentRejected' } as const;
const unclear = { type: 'Undetermined', subType: 'Undetermined' } as const;

/** Consumers remove an address on `Permanent`, so only an address without a recipient gets it. */
export const bounceKinds: Readonly<Record<ReplyCategory, BounceKind>> = {
  unknown_user: nobody,
  unknown_host: nobody,
  moved: nobody,
  mailbox_full: { type: 'Transient', subType: 'MailboxFull' },
  mailbox_disabled: notThisTime,
  greylisted: notThisTime,
  rate_limited: notThisTime,
  too_many_connections: notThisTime,
  too_many_recipients: notThisTime,
  system: notThisTime,
  sender_authentication: notThisTime,
  sender_refused: notThisTime,
  blocklisted: notThisTime,
  spam: content,
  malware: content,
  policy: content,
  relay_denied: notThisTime,
  login: notThisTime,
  too_large: { type: 'Transient', subType: 'MessageTooLarge' },
  syntax: notThisTime,
  bad_sequence: notThisTime,
  connection_used_up: notThisTime,
  tls: notThisTime,
  smtputf8: notThisTime,
  routing_loop: notThisTime,
  expired: notThisTime,
  accepted: unclear,
  other: unclear,
};

/** Without a reply the kind is unknown. */
export function bounceOf(smtp: SmtpReply | null): BounceKind & { readonly category: ReplyCategory | null } {
  if (smtp === null) return { ...unclear, category: null };
  const { category } = classify(smtp);
  return { ...bounceKinds[category], category };
}
