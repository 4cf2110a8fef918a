/** The body of `POST /v1/emails`: all rules in one schema, so that all faults are named at once. */
import { z } from 'zod';
import { dsnRequest } from './dsn.ts';
import { onUnknownPolicies } from './email.ts';
import { attachments, bodyText, mailbox, mailboxes, maxReplyTo, metadata, tags } from './email-fields.ts';
import { hasListUnsubscribe, headerSafe, headers } from './email-headers.ts';
import { lanes } from './lane.ts';
import { nullLeavesOut, nullNote } from './null-leaves-out.ts';
import { lengthOf, type Rule, withRules } from './rule.ts';
import { instant, sendTime, sendTimeWords } from './send-time.ts';
import type { TemplateUse } from './template.ts';
import { templateOfEmail } from './template-request.ts';
import { linkRules } from './unsubscribe-link.ts';

/** Recipients of one email over to, cc and bcc. Each has its own state. */
const maxRecipients = 50;
/** RFC 5322 section 2.1.1 allows 998 octets in a line. A subject is folded, so this is only a reasonable limit. */
const maxSubjectLength = 998;
const maxAheadMs = 366 * 86_400_000;
const maxTtlSeconds = 366 * 86_400;

/** What the schema must know of the service. */
export type RequestLimits = {
  /** Decoded bytes of all attachments of one email. */
  readonly maxAttachmentBytes: number;
  /** The routes that an email may name in `route`. */
  routes(): readonly string[];
  /** Whether bulk mail can get an unsubscribe link. */
  readonly canUnsubscribe: boolean;
  now(): number;
};

/** A subject, as written or as rendered. */
export const subjectLine = headerSafe(maxSubjectLength);

/** Fields of Resend's emails that we do not have: an email that sets one is refused. */
export const absentFields = ['topic_id'];

const scheduledAt = {
  description: `When to send it: ${sendTimeWords}. A time in the past means now.`,
  examples: ['2026-12-07T09:00:00Z', 'in 1 hour'],
};

const fields = {
  from: mailbox.meta({ description: 'The sender.' }),
  to: mailboxes(maxRecipients, 'The recipients. `to`, `cc` and `bcc` may have at most 50 recipients together.', {
    isNeeded: true,
  }).refine((list) => list.length > 0, 'must have at least one recipient'),
  cc: mailboxes(maxRecipients, 'Recipients of a copy.').optional(),
  bcc: mailboxes(maxRecipients, 'Recipients of a copy that the other recipients do not see.').optional(),
  reply_to: mailboxes(maxReplyTo, 'Where replies go. The default is `from`.').optional(),
  subject: subjectLine.meta({ description: 'The subject line.', examples: ['Your receipt'] }),
  html: bodyText.optional().meta({
    description: 'The HTML body. `html`, `text` or both are needed, or a `template`.',
    examples: ['<p>Thank you.</p>'],
  }),
  text: bodyText.optional().meta({
    description: 'The plain text body. Together with `html`, it is shown by mail programs that show no HTML.',
    examples: ['Thank you.'],
  }),
  headers: headers.optional(),
  attachments: attachments.optional().meta({ description: 'Files to attach: in base64, or fetched from a URL.' }),
  tags: tags.optional().meta({
    description: 'Labels to find emails by. No two may have the same name. Every event of the email contains them.',
  }),
  ttl: z
    .int()
    .min(1)
    .max(maxTtlSeconds)
    .optional()
    .meta({
      description:
        'Seconds after which the email is no longer sent, counted from now or from `scheduled_at`. Recipients still waiting then end as `expired`.',
      examples: [600],
    }),
  expires_at: instant.optional().meta({
    description:
      'The time after which the email is no longer sent, at most a year after it is to be sent. Give this or `ttl`, not both.',
    examples: ['2030-01-31T10:00:00Z'],
  }),
  metadata: metadata.optional(),
  external_id: headerSafe(256)
    .min(1)
    .optional()
    .meta({
      description: 'Your own id for the email. `GET /v1/emails?external_id=` finds it by this id.',
      examples: ['order-1234'],
    }),
  lane: z.enum(lanes).optional().meta({
    description:
      '`transactional` (the default) for mail that somebody waits for, `bulk` for mail that can wait. Bulk mail never delays transactional mail.',
  }),
  dsn: dsnRequest.optional().meta({ description: 'The delivery status notifications to request.' }),
  on_unknown: z.enum(onUnknownPolicies).optional().meta({
    description:
      'What to do when a crash leaves it unknown whether the message was handed over. `retry` (the default) sends it again under the same Message-ID. `hold` waits until you send it again with `POST /v1/emails/{id}/retry`, or end it with `POST /v1/emails/{id}/cancel`.',
  }),
};

export function routeFor({ routes }: Pick<RequestLimits, 'routes'>) {
  return z
    .string()
    .refine((name) => routes().includes(name), {
      error: () => `is not a route here: expected ${routes().join(', ')}`,
    })
    .meta({
      description: 'The name of the route to send by. A route is a choice of transports that the operator configured.',
      examples: ['default'],
    });
}

function fieldsFor(limits: RequestLimits) {
  return {
    ...fields,
    route: routeFor(limits).optional(),
    scheduled_at: sendTime(limits).optional().meta(scheduledAt),
  };
}

/** The fields of an email that may also come from its template. */
export function askedFieldsFor(limits: RequestLimits) {
  return {
    ...fieldsFor(limits),
    from: fields.from
      .optional()
      .meta({ description: "The sender. With `template`, the default is the template's sender." }),
    subject: fields.subject.optional().meta({
      description: "The subject line. With `template`, it replaces the template's subject.",
      examples: ['Your receipt'],
    }),
    template: templateOfEmail
      .optional()
      .meta({ description: 'A template to make the email from, instead of giving `html` and `text`.' }),
  };
}

/** An email with its complete content. */
export function emailRequestFor(limits: RequestLimits) {
  return nullLeavesOut(withRules(z.strictObject(fieldsFor(limits)), rulesFor(limits)), absentFields);
}

/** The schema of a send request for a service with these limits. */
export function askedEmailFor(limits: RequestLimits) {
  const schema = withRules(z.strictObject(askedFieldsFor(limits)), askedRulesFor(limits));
  return nullLeavesOut(schema, absentFields).meta({ id: 'EmailRequest', description: `An email to send. ${nullNote}` });
}

const requiredOrTemplate = (name: 'from' | 'subject'): Rule => ({
  path: name,
  message: 'is required',
  holds: (email) => name in email || email.template !== undefined,
});

const notWithTemplate = (name: 'html' | 'text'): Rule => ({
  path: name,
  message: 'must not be given together with template',
  holds: (email) => email[name] === undefined || email.template === undefined,
});

const templateRules = [
  requiredOrTemplate('from'),
  requiredOrTemplate('subject'),
  notWithTemplate('html'),
  notWithTemplate('text'),
];

/** Rules of an email that may leave fields to its template. */
export function askedRulesFor(limits: RequestLimits): Rule[] {
  return [...templateRules, ...rulesFor(limits)];
}

function rulesFor(limits: RequestLimits): Rule[] {
  return [
    {
      path: 'html',
      message: 'html or text is required',
      // Only `text` may be empty: a request with an empty html alone is a mistake.
      holds: ({ html, text, template }) => (html ?? '') !== '' || text !== undefined || template !== undefined,
    },
    {
      path: 'to',
      message: `to, cc and bcc may have at most ${maxRecipients} recipients together`,
      holds: ({ to, cc, bcc }) => lengthOf(to) + lengthOf(cc) + lengthOf(bcc) <= maxRecipients,
    },
    bytesRule(limits),
    aheadRule(limits),
    {
      path: 'lane',
      message: noWayOut,
      holds: ({ lane, to, cc, bcc, headers }) =>
        lane !== 'bulk' || lengthOf(to) + lengthOf(cc) + lengthOf(bcc) > 1 || hasWayOut(limits, headers),
    },
    ...linkRules(limits),
    {
      path: 'expires_at',
      message: 'says the same as ttl: give one of them',
      holds: ({ ttl, expires_at }) => ttl === undefined || expires_at === undefined,
    },
    {
      path: 'expires_at',
      message: 'must be in the future and after scheduled_at',
      holds: ({ expires_at, scheduled_at }) => !(timeOf(expires_at) <= dueAt(limits, scheduled_at)),
    },
    {
      path: 'expires_at',
      message: 'may be a year at most from now, or from scheduled_at',
      holds: ({ expires_at, scheduled_at }) =>
        !(timeOf(expires_at) > dueAt(limits, scheduled_at) + maxTtlSeconds * 1_000),
    },
  ];
}

export const noWayOut =
  'needs a way to unsubscribe: set PUBLIC_URL to where this API is reached by https, or give a List-Unsubscribe header';

/** Whether recipients of bulk mail with these headers can unsubscribe. */
export function hasWayOut({ canUnsubscribe }: Pick<RequestLimits, 'canUnsubscribe'>, headers: unknown): boolean {
  return canUnsubscribe || hasListUnsubscribe(Object(headers));
}

export function bytesRule({ maxAttachmentBytes }: RequestLimits): Rule {
  return {
    path: 'attachments',
    message: `may be ${maxAttachmentBytes} bytes together, decoded (MAX_ATTACHMENT_BYTES)`,
    holds: ({ attachments }) => countBytes(attachments) <= maxAttachmentBytes,
  };
}

export function aheadRule({ now }: Pick<RequestLimits, 'now'>): Rule {
  return {
    path: 'scheduled_at',
    message: 'may be a year ahead at most',
    holds: ({ scheduled_at }) => !(timeOf(scheduled_at) > now() + maxAheadMs),
  };
}

/** An email as requested: fields that are missing may come from its template. */
export type AskedEmail = z.output<ReturnType<typeof askedEmailFor>>;
/** An email with its complete content, and the template it was made from. */
export type EmailRequest = z.output<ReturnType<typeof emailRequestFor>> & { readonly template?: TemplateUse };

/** `PATCH /v1/emails/:id`. */
export function rescheduleRequestFor(limits: Pick<RequestLimits, 'now'>) {
  const again = z
    .string()
    .optional()
    .meta({ description: 'The id from the path, which some Resend SDKs repeat here.' });
  const schema = z.strictObject({ scheduled_at: sendTime(limits).meta(scheduledAt), id: again, email_id: again });
  const example = { scheduled_at: '2026-12-07T14:00:00+01:00' };
  return withRules(schema, [aheadRule(limits)]).meta({
    id: 'RescheduleRequest',
    description: 'The new time.',
    examples: [example],
  });
}

/** NaN when the field is missing or has a fault of its own: every comparison with it is false. */
function timeOf(instant: unknown): number {
  return typeof instant === 'number' ? instant : Number.NaN;
}

/** When it is to be sent, milliseconds since the epoch. */
function dueAt({ now }: Pick<RequestLimits, 'now'>, scheduledAt: unknown): number {
  return Math.max(now(), timeOf(scheduledAt) || 0);
}

function countBytes(attachments: unknown): number {
  if (!Array.isArray(attachments)) return 0;
  const sizes = attachments.map((attachment) => (Buffer.isBuffer(attachment?.content) ? attachment.content.length : 0));
  return sizes.reduce((sum, size) => sum + size, 0);
}
