/** The email: what is stored of it, and how a request becomes one. */
import { domainOf, type Mailbox } from './address.ts';
import type { EmailRequest } from './email-request.ts';
import type { EmailEvent, EmailEventType } from './event.ts';
import { eventId } from './id.ts';
import { type Recipient, type RecipientKind, recipientKinds } from './recipient.ts';

export type Tag = { readonly name: string; readonly value: string };

/** What never changes after accept. Kept as long as the record. */
export type EmailFacts = {
  readonly id: string;
  readonly createdAt: number;
  readonly keyId: string;
  /** Without angle brackets; the same over all attempts, so a receiver can recognise a repeat. */
  readonly messageId: string;
  readonly from: Mailbox;
  readonly replyTo: readonly Mailbox[];
  readonly subject: string;
  readonly tags: readonly Tag[];
};

/** What moves; replaced as a whole by one commit. */
export type EmailState = {
  readonly recipients: readonly Recipient[];
  readonly lastEvent: EmailEventType;
  /** The number of the last event of this email. */
  readonly sequence: number;
};

export type Attachment = {
  readonly filename: string;
  readonly contentType: string | null;
  readonly contentId: string | null;
  readonly content: Buffer;
};

/** What is dropped once the email is final and its content retention has passed. */
export type Content = {
  readonly html: string | null;
  readonly text: string | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly attachments: readonly Attachment[];
};

/** An attempt whose body may have begun to leave; left behind by a worker that died before it could settle. */
export type HandOver = {
  readonly at: number;
  readonly transport: string;
  /** Tells this attempt from any other. */
  readonly attemptId: string;
};

export type StoredEmail = {
  readonly facts: EmailFacts;
  readonly state: EmailState;
  /** Counts commits; a commit is refused when the stored one moved on. */
  readonly version: number;
  readonly handOver: HandOver | null;
};

/** An email with what is needed to send it. `content` is null once it has been dropped. */
export type LoadedEmail = StoredEmail & { readonly content: Content | null };

/** An email on its way into the store, with the event that tells of it. */
export type NewEmail = {
  readonly facts: EmailFacts;
  readonly state: EmailState;
  readonly content: Content;
  readonly event: EmailEvent;
};

/** Turns a valid request into the email to store, all recipients queued. */
export function acceptEmail(request: EmailRequest, given: { id: string; keyId: string; now: number }): NewEmail {
  const { id, keyId, now } = given;
  const recipients = recipientKinds.flatMap((kind) =>
    (request[kind] ?? []).map((mailbox) => queued(kind, mailbox, now)),
  );
  const event: EmailEvent = {
    id: eventId(id, 1),
    type: 'email.queued',
    at: now,
    emailId: id,
    sequence: 1,
    to: recipients.map(({ address }) => address),
    attempt: 0,
    transport: null,
    smtp: null,
    reason: null,
  };
  return {
    facts: {
      id,
      createdAt: now,
      keyId,
      messageId: `${id}@${domainOf(request.from.address)}`,
      from: request.from,
      replyTo: request.reply_to ?? [],
      subject: request.subject,
      tags: request.tags ?? [],
    },
    state: { recipients, lastEvent: event.type, sequence: event.sequence },
    content: {
      html: request.html ?? null,
      text: request.text ?? null,
      headers: request.headers ?? {},
      attachments: (request.attachments ?? []).map((attachment) => ({
        filename: attachment.filename,
        contentType: attachment.content_type ?? null,
        contentId: attachment.content_id ?? null,
        content: attachment.content,
      })),
    },
    event,
  };
}

function queued(kind: RecipientKind, mailbox: Mailbox, now: number): Recipient {
  return {
    kind,
    ...mailbox,
    status: 'queued',
    attempts: 0,
    smtp: null,
    transport: null,
    nextAttemptAt: now,
    reason: null,
  };
}

/** The mailboxes of one kind, in the order they were given. */
export function mailboxesOf(state: EmailState, kind: RecipientKind): Mailbox[] {
  return state.recipients
    .filter((recipient) => recipient.kind === kind)
    .map(({ address, name }) => (name === undefined ? { address } : { address, name }));
}
