/** The email: what is stored of it, and how a request becomes an email. */
import { domainOf, type Mailbox } from './address.ts';
import type { Dsn } from './dsn.ts';
import { isMessageId } from './email-headers.ts';
import type { EmailRequest } from './email-request.ts';
import type { EmailEvent, EmailEventType } from './event.ts';
import { addFile } from './file.ts';
import { eventId } from './id.ts';
import { type Lane, usualLane } from './lane.ts';
import {
  isFinal,
  isPending,
  type Recipient,
  type RecipientKind,
  type RecipientStatus,
  recipientKinds,
  rollUp,
} from './recipient.ts';
import type { TemplateUse } from './template.ts';

export type Tag = { readonly name: string; readonly value: string };

/** What to do when it is unknown whether the message was handed over. */
export const onUnknownPolicies = ['retry', 'hold'] as const;
export type OnUnknown = (typeof onUnknownPolicies)[number];

/** What never changes after accept. Kept as long as the record. */
export type EmailFacts = {
  readonly id: string;
  readonly createdAt: number;
  readonly keyId: string;
  /** Without angle brackets. The same in all attempts, so that a receiver can recognise a repeat. */
  readonly messageId: string;
  readonly from: Mailbox;
  readonly replyTo: readonly Mailbox[];
  readonly subject: string;
  readonly tags: readonly Tag[];
  readonly metadata: Readonly<Record<string, unknown>> | null;
  readonly externalId: string | null;
  readonly lane: Lane;
  readonly route: string | null;
  /** How long the email is worth sending, counted from `EmailState.since`. */
  readonly ttlMs: number | null;
  readonly onUnknown: OnUnknown;
  readonly dsn: Dsn | null;
  /** The template its content was made from; null for content given in the request. */
  readonly template: TemplateUse | null;
  /** The campaign it is part of. */
  readonly campaignId: string | null;
};

/** The state, which changes: each commit replaces it as a whole. */
export type EmailState = {
  readonly recipients: readonly Recipient[];
  readonly lastEvent: EmailEventType;
  /** The number of the last event of this email. */
  readonly sequence: number;
  /** The time the caller last asked for; null for at once. */
  readonly scheduledAt: number | null;
  /** From when its age counts: accept, its scheduled time, or the last retry by a caller. */
  readonly since: number;
  /** When the email is no longer worth sending; null for never. */
  readonly expiresAt: number | null;
};

/** Where an attachment's bytes are: stored once under their hash, or still to be fetched. */
export type AttachmentSource =
  | { readonly kind: 'file'; readonly hash: string; readonly bytes: number }
  | { readonly kind: 'url'; readonly url: string };

export type Attachment = {
  readonly filename: string;
  readonly contentType: string | null;
  readonly contentId: string | null;
  readonly source: AttachmentSource;
};

/** The content, which is dropped when the email is final and its retention has passed. */
export type Content = {
  readonly html: string | null;
  readonly text: string | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly attachments: readonly Attachment[];
};

/** What an attachment that is still to be fetched counts as. */
const guessedBytes = 1024 * 1024;

/** The approximate memory in bytes that a content takes with its files. */
export function weightOf({ html, text, attachments }: Content): number {
  const files = attachments.map(({ source }) => (source.kind === 'file' ? source.bytes : guessedBytes));
  return files.reduce((sum, bytes) => sum + bytes, (html?.length ?? 0) + (text?.length ?? 0));
}

/** The message made of it is not smaller: texts are encoded, and files are in base64. */
export function leastBytesOf({ html, text, attachments }: Content): number {
  const texts = (html?.length ?? 0) + (text?.length ?? 0);
  return attachments.reduce(
    (sum, { source }) => sum + (source.kind === 'file' ? base64Length(source.bytes) : 0),
    texts,
  );
}

function base64Length(bytes: number): number {
  return Math.ceil(bytes / 3) * 4;
}

/** A content too heavy to load before there is room for it, with its weight. */
type HeavyContent = { readonly weight: number };

export function isHeavy(content: Content | HeavyContent | Unreadable | null): content is HeavyContent {
  return content !== null && content !== unreadable && 'weight' in content;
}

/** A stored content that cannot be used: damaged, or in a form that this version does not know. */
export const unreadable = 'unreadable';
export type Unreadable = typeof unreadable;

/** The bytes of attachments by their hash (SHA-256, base64url): a file that several emails share is stored once. */
export type Files = ReadonlyMap<string, Buffer>;

/** An attempt whose body may have begun to leave. It stays on the email when the worker dies before it settles. */
export type HandOver = {
  readonly at: number;
  readonly transport: string;
  /** Unique for each attempt. */
  readonly attemptId: string;
  /** The job that makes the attempt: while the job lives, the attempt may still be running. */
  readonly job: string;
  /** The addresses it is for, where others are pending as well. */
  readonly to?: readonly string[];
};

export type StoredEmail = {
  readonly facts: EmailFacts;
  readonly state: EmailState;
  /** Counts commits. A commit is refused when the stored version is another. */
  readonly version: number;
  readonly handOver: HandOver | null;
};

/** An email with what is needed to send it. `content` is null when it was dropped, or cannot be read. */
export type LoadedEmail = StoredEmail & { readonly content: Content | null };

/** One of many emails loaded together. A heavy content is loaded only when its email's turn comes. */
export type EmailInHand = StoredEmail & { readonly content: Content | HeavyContent | Unreadable | null };

/** An email to be stored, with its first event. */
export type NewEmail = {
  readonly facts: EmailFacts;
  readonly state: EmailState;
  readonly content: Content;
  readonly files: Files;
  readonly event: EmailEvent;
};

/** Turns a valid request into the email to store, all recipients queued or scheduled. */
export function acceptEmail(request: EmailRequest, given: { id: string; keyId: string; now: number }): NewEmail {
  const { id, keyId, now } = given;
  const scheduledAt = request.scheduled_at ?? null;
  const dueAt = Math.max(now, scheduledAt ?? now);
  const status = statusAt(request, now);
  const ttlMs = request.ttl === undefined ? null : request.ttl * 1_000;
  const recipients = recipientKinds.flatMap((kind) =>
    (request[kind] ?? []).map((mailbox) => newRecipient(kind, mailbox, status, dueAt)),
  );
  const event: EmailEvent = {
    id: eventId(id, 1),
    type: `email.${status}`,
    at: now,
    emailId: id,
    sequence: 1,
    to: recipients.map(({ address }) => address),
    attempt: 0,
    transport: null,
    smtp: null,
    reason: null,
  };
  const { headers, messageId } = takeMessageId(request.headers ?? {});
  const files = new Map<string, Buffer>();
  return {
    facts: {
      id,
      createdAt: now,
      keyId,
      messageId: messageId ?? `${id}@${domainOf(request.from.address)}`,
      from: request.from,
      replyTo: request.reply_to ?? [],
      subject: request.subject,
      tags: request.tags ?? [],
      metadata: request.metadata ?? null,
      externalId: request.external_id ?? null,
      lane: request.lane ?? usualLane,
      route: request.route ?? null,
      ttlMs,
      onUnknown: request.on_unknown ?? 'retry',
      dsn: request.dsn ?? null,
      template: request.template ?? null,
      campaignId: null,
    },
    state: {
      recipients,
      lastEvent: event.type,
      sequence: event.sequence,
      scheduledAt,
      since: dueAt,
      expiresAt: request.expires_at ?? (ttlMs === null ? null : dueAt + ttlMs),
    },
    content: {
      html: request.html ?? null,
      text: request.text ?? null,
      headers,
      attachments: (request.attachments ?? []).map((given) => toAttachment(given, files)),
    },
    files,
    event,
  };
}

/** The status with which a request is accepted at `now`. */
export function statusAt(
  { scheduled_at: at }: Pick<EmailRequest, 'scheduled_at'>,
  now: number,
): 'scheduled' | 'queued' {
  return at !== undefined && at > now ? 'scheduled' : 'queued';
}

function newRecipient(
  kind: RecipientKind,
  mailbox: Mailbox,
  status: 'queued' | 'scheduled',
  nextAttemptAt: number,
): Recipient {
  return { kind, ...mailbox, status, attempts: 0, smtp: null, transport: null, nextAttemptAt, reason: null };
}

function takeMessageId(given: Readonly<Record<string, string>>) {
  const name = Object.keys(given).find(isMessageId);
  if (name === undefined) return { headers: given, messageId: null };
  const { [name]: value = '', ...headers } = given;
  return { headers, messageId: value.slice(1, -1) };
}

/** Adds the given bytes to `files`; equal files are there once. */
function toAttachment(given: NonNullable<EmailRequest['attachments']>[number], files: Map<string, Buffer>): Attachment {
  const { filename, content_type: contentType = null, content_id: contentId = null, content, path = '' } = given;
  if (content === undefined) return { filename, contentType, contentId, source: { kind: 'url', url: path } };
  return { filename, contentType, contentId, source: addFile(content, files) };
}

/** The mailboxes of one kind, in the order given. */
export function mailboxesOf(state: EmailState, kind: RecipientKind): Mailbox[] {
  return state.recipients
    .filter((recipient) => recipient.kind === kind)
    .map(({ address, name }) => (name === undefined ? { address } : { address, name }));
}

/** The status of the email, from its recipients. */
export function statusOf(state: EmailState): RecipientStatus {
  return rollUp(state.recipients.map(({ status }) => status));
}

/** Whom a hand-over is for: every pending one, unless it names some. */
export function isHandedOver({ address, status }: Recipient, { to }: Pick<HandOver, 'to'>): boolean {
  return isPending(status) && to?.includes(address) !== false;
}

/** The recipients as callers are shown them: those in a hand-over are being sent to. */
export function shownRecipients({ state, handOver }: Pick<StoredEmail, 'state' | 'handOver'>): readonly Recipient[] {
  if (handOver === null) return state.recipients;
  return state.recipients.map((recipient) =>
    isHandedOver(recipient, handOver) ? { ...recipient, status: 'sending' as const } : recipient,
  );
}

/** The status of the email as callers are shown it. */
export function shownStatus(email: Pick<StoredEmail, 'state' | 'handOver'>): RecipientStatus {
  return rollUp(shownRecipients(email).map(({ status }) => status));
}

/** Whether nothing is left to do for any recipient. */
export function hasEnded(state: EmailState): boolean {
  return state.recipients.every(({ status }) => isFinal(status));
}
