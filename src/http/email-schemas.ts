/** The schemas of an email in answers: in a list, and whole. */
import { z } from 'zod';
import { onUnknownPolicies } from '../domain/email.ts';
import { tag } from '../domain/email-fields.ts';
import { lastEventNames } from '../domain/event.ts';
import { lanes } from '../domain/lane.ts';
import { recipientKinds } from '../domain/recipient.ts';
import { objectField, status, time } from './answer-fields.ts';

export const smtpView = z
  .object({
    code: z.int().meta({ description: 'The reply code (RFC 5321).', examples: [250] }),
    enhanced: z
      .string()
      .nullable()
      .meta({ description: 'The enhanced status code (RFC 3463), if there was one.', examples: ['2.0.0'] }),
    reply: z
      .string()
      .meta({ description: 'The reply as received; its lines are joined by line feeds.', examples: ['250 2.0.0 Ok'] }),
  })
  .meta({ id: 'SmtpReply', description: 'A reply of the next hop.' });

export const recipientView = z
  .object({
    email: z.string().meta({ description: 'The address.' }),
    kind: z.enum(recipientKinds).meta({ description: 'The field it was given in.' }),
    status: status.meta({ description: 'The status of this recipient.' }),
    attempts: z.int().meta({
      description:
        'Attempts so far. Attempts that failed because of transport trouble are not counted. A retry you request starts again from 0.',
    }),
    smtp: smtpView.nullable().meta({ description: 'The last reply for this recipient.' }),
    transport: z.string().nullable().meta({ description: 'The transport that tried last.' }),
    next_attempt_at: time
      .nullable()
      .meta({ description: 'When it is tried next; null if there will be no further attempt.' }),
    reason: z.string().nullable().meta({ description: 'The reason for the status, if no reply explains it.' }),
  })
  .meta({ id: 'Recipient', description: 'One recipient with its own status.' });

const templateUse = z.object({
  id: z.string().meta({ description: 'The id of the template, `tp_…`.' }),
  version: z.int().meta({ description: 'The version of the template.' }),
});

const mailboxList = z.array(z.string());

export const emailSummaryView = z
  .object({
    object: objectField('email'),
    id: z.string().meta({ description: 'Its id, `em_…`.' }),
    from: z.string().meta({ description: 'The sender.' }),
    to: mailboxList.meta({ description: 'The recipients.' }),
    cc: mailboxList.meta({ description: 'Recipients of a copy.' }),
    bcc: mailboxList.meta({ description: 'Recipients of a copy that the other recipients do not see.' }),
    reply_to: mailboxList.meta({ description: 'Where replies go.' }),
    subject: z.string().meta({ description: 'The subject line.' }),
    tags: z.array(tag).meta({ description: 'Its labels.' }),
    metadata: z.record(z.string(), z.unknown()).meta({ description: 'The metadata you gave.' }),
    external_id: z.string().nullable().meta({ description: 'Your own id for it.' }),
    lane: z.enum(lanes).meta({ description: 'The lane it is sent in.' }),
    route: z.string().nullable().meta({ description: 'The route you requested.' }),
    template: templateUse
      .nullable()
      .meta({ description: 'The template it was made from; null if the content was given directly.' }),
    campaign_id: z.string().nullable().meta({ description: 'The campaign it is part of, `cm_…`; null for none.' }),
    message_id: z.string().meta({ description: 'Its Message-ID, the same in every attempt.' }),
    created_at: time.meta({ description: 'When it was accepted.' }),
    scheduled_at: time.nullable().meta({ description: 'The requested time to send; null for immediately.' }),
    expires_at: time.nullable().meta({ description: 'The time after which it is no longer sent.' }),
    status: status.meta({
      description: 'The status of the whole email: a pending status if any recipient has one, else the worst result.',
    }),
    last_event: z.enum(lastEventNames).meta({ description: 'The latest event.' }),
    attempts: z.int().meta({ description: 'Attempts so far, for the recipient with the most.' }),
  })
  .meta({ id: 'EmailSummary', description: 'An email in a list.' });

const attachmentView = z.object({
  filename: z.string().meta({ description: 'The name the recipient sees.' }),
  content_type: z.string().nullable().meta({ description: 'The media type you gave.' }),
  content_id: z.string().nullable().meta({ description: 'The id by which the html refers to it.' }),
  bytes: z.int().nullable().meta({ description: 'Its size; null until it has been fetched.' }),
  path: z.string().nullable().meta({ description: 'Where it will be fetched from; null once it was fetched.' }),
});

const dsnView = z.object({
  notify: z.array(z.string()).meta({ description: 'When the servers on the way notify the sender.' }),
  return: z.enum(['headers', 'full']).meta({ description: 'How much of the message a failure notification contains.' }),
});

const orGone = 'Null when there is none, or once the content has been dropped.';

export const emailView = emailSummaryView
  .extend({
    html: z
      .string()
      .nullable()
      .meta({ description: `The HTML body. ${orGone}` }),
    text: z
      .string()
      .nullable()
      .meta({ description: `The plain text body. ${orGone}` }),
    headers: z
      .record(z.string(), z.string())
      .meta({ description: 'The headers you gave; none once the content has been dropped.' }),
    attachments: z
      .array(attachmentView)
      .meta({ description: 'Its files, without their bytes; none once the content has been dropped.' }),
    on_unknown: z
      .enum(onUnknownPolicies)
      .meta({ description: 'What is done when a crash leaves it unknown whether the message was handed over.' }),
    dsn: dsnView.nullable().meta({ description: 'The delivery status notifications you requested.' }),
    recipients: z.array(recipientView).meta({ description: 'The recipients with their results.' }),
  })
  .meta({ id: 'Email', description: 'The email with the result for each recipient.' });

export const acceptedView = z
  .object({
    id: z.string().meta({ description: 'The id of the email, `em_…`.' }),
    object: objectField('email'),
    status: status.meta({ description: 'Its current status.' }),
  })
  .meta({
    id: 'AcceptedEmail',
    description: 'The email and its current status.',
    examples: [{ id: 'em_01kb2m7x4p6q8s0t2v4w6x8y0z', object: 'email', status: 'queued' }],
  });
