/** Makes the views of an email for callers: in a list, and whole. */
import type { z } from 'zod';
import { formatMailbox } from '../domain/address.ts';
import type { Dsn } from '../domain/dsn.ts';
import {
  type Content,
  type LoadedEmail,
  mailboxesOf,
  type StoredEmail,
  shownRecipients,
  shownStatus,
} from '../domain/email.ts';
import { lastEventName } from '../domain/event.ts';
import { isoOf, isoOrNull } from '../domain/iso-time.ts';
import type { Recipient } from '../domain/recipient.ts';
import type { emailSummaryView, emailView, recipientView } from './email-schemas.ts';

export function summaryOf(email: StoredEmail): z.input<typeof emailSummaryView> {
  const { facts, state } = email;
  return {
    object: 'email',
    id: facts.id,
    from: formatMailbox(facts.from),
    to: mailboxesOf(state, 'to').map(formatMailbox),
    cc: mailboxesOf(state, 'cc').map(formatMailbox),
    bcc: mailboxesOf(state, 'bcc').map(formatMailbox),
    reply_to: facts.replyTo.map(formatMailbox),
    subject: facts.subject,
    tags: [...facts.tags],
    metadata: { ...facts.metadata },
    external_id: facts.externalId,
    lane: facts.lane,
    route: facts.route,
    template: facts.template,
    campaign_id: facts.campaignId,
    message_id: `<${facts.messageId}>`,
    created_at: isoOf(facts.createdAt),
    scheduled_at: isoOrNull(state.scheduledAt),
    expires_at: isoOrNull(state.expiresAt),
    status: shownStatus(email),
    last_event: lastEventName(state.lastEvent),
    attempts: Math.max(0, ...state.recipients.map((recipient) => recipient.attempts)),
  };
}

export function viewOf(email: LoadedEmail): z.input<typeof emailView> {
  const { content, facts } = email;
  return {
    ...summaryOf(email),
    html: content?.html ?? null,
    text: content?.text ?? null,
    headers: { ...content?.headers },
    attachments: (content?.attachments ?? []).map(attachmentOf),
    on_unknown: facts.onUnknown,
    dsn: facts.dsn === null ? null : { notify: dsnNotify(facts.dsn), return: facts.dsn.return },
    recipients: shownRecipients(email).map(recipientOf),
  };
}

function dsnNotify({ notify }: Dsn): string[] {
  return notify === 'never' ? [notify] : [...notify];
}

function attachmentOf({ filename, contentType, contentId, source }: Content['attachments'][number]) {
  const bytes = source.kind === 'file' ? source.bytes : null;
  const path = source.kind === 'url' ? source.url : null;
  return { filename, content_type: contentType, content_id: contentId, bytes, path };
}

function recipientOf(recipient: Recipient): z.input<typeof recipientView> {
  const { address, kind, status, attempts, smtp, transport, nextAttemptAt, reason } = recipient;
  return {
    email: address,
    kind,
    status,
    attempts,
    smtp,
    transport,
    next_attempt_at: isoOrNull(nextAttemptAt),
    reason,
  };
}
