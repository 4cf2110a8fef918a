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
      .meta({ description: 'The enhanced status code (RFC 3463), where there was one.', examples: ['2.0.0'] }),
    reply: z
      .string()
      .meta({ description: 'The reply as it came, its lines joined by line feeds.', examples: ['250 2.0.0 Ok'] }),
  })
  .meta({ id: 'SmtpReply', description: 'What the next hop answered.' });

export const recipientView = z
  .object({
    email: z.string().meta({ description: 'The address.' }),
    kind: z.enum(recipientKinds).meta({ description: 'The field it was given in.' }),
    status: status.meta({ description: 'Where this recipient stands.' }),
    attempts: z.int().meta({
      description: 'Attempts so far. Trouble of the transport is not counted, and a retry you ask for starts anew.',
    }),
    smtp: smtpView.nullable().meta({ description: 'The last reply for this recipient.' }),
    transport: z.string().nullable().meta({ description: 'The transport that tried last.' }),
    next_attempt_at: time.nullable().meta({ description: 'When it is tried next; null when nothing will be tried.' }),
    reason: z.string().nullable().meta({ description: 'Why it stands there, where no reply says so.' }),
  })
  .meta({ id: 'Recipient', description: 'One recipient: each has a status of its own.' });

const templateUse = z.object({
  id: z.string().meta({ description: 'The id of the template, `tp_…`.' }),
  version: z.int().meta({ description: 'Which version of it.' }),
});

const mailboxList = z.array(z.string());

export const emailSummaryView = z
  .object({
    object: objectField('email'),
    id: z.string().meta({ description: 'Its id, `em_…`.' }),
    from: z.string().meta({ description: 'Who it is from.' }),
    to: mailboxList.meta({ description: 'Who it is for.' }),
    cc: mailboxList.meta({ description: 'Who gets a copy.' }),
    bcc: mailboxList.meta({ description: 'Who gets a copy without the others seeing it.' }),
    reply_to: mailboxList.meta({ description: 'Where answers go.' }),
    subject: z.string().meta({ description: 'The subject line.' }),
    tags: z.array(tag).meta({ description: 'Its labels.' }),
    metadata: z.record(z.string(), z.unknown()).meta({ description: 'What you gave with it.' }),
    external_id: z.string().nullable().meta({ description: 'Your own id for it.' }),
    lane: z.enum(lanes).meta({ description: 'The lane it goes in.' }),
    route: z.string().nullable().meta({ description: 'The route you asked for.' }),
    template: templateUse.nullable().meta({ description: 'The template it was made of; null for one given whole.' }),
    campaign_id: z.string().nullable().meta({ description: 'The campaign it is part of, `cm_…`; null for none.' }),
    message_id: z.string().meta({ description: 'Its Message-ID, the same in every attempt.' }),
    created_at: time.meta({ description: 'When it was accepted.' }),
    scheduled_at: time.nullable().meta({ description: 'When you asked for it to be sent; null for at once.' }),
    expires_at: time.nullable().meta({ description: 'When it is no longer worth sending.' }),
    status: status.meta({
      description: 'Where it stands over all recipients: what still moves comes first, then the worst that happened.',
    }),
    last_event: z.enum(lastEventNames).meta({ description: 'What happened last.' }),
    attempts: z.int().meta({ description: 'Attempts so far, of the recipient with the most.' }),
  })
  .meta({ id: 'EmailSummary', description: 'An email as lists have it.' });

const attachmentView = z.object({
  filename: z.string().meta({ description: 'The name the reader sees.' }),
  content_type: z.string().nullable().meta({ description: 'The media type you gave.' }),
  content_id: z.string().nullable().meta({ description: 'The id that the html shows it by.' }),
  bytes: z.int().nullable().meta({ description: 'Its size; null until it has been fetched.' }),
  path: z.string().nullable().meta({ description: 'Where it will be fetched from; null once it is here.' }),
});

const dsnView = z.object({
  notify: z.array(z.string()).meta({ description: 'When a server on the way is to write back.' }),
  return: z.enum(['headers', 'full']).meta({ description: 'What a notice of failure returns of the message.' }),
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
      .meta({ description: 'What is done when a crash leaves open whether it was handed over.' }),
    dsn: dsnView.nullable().meta({ description: 'The delivery status notifications you asked for.' }),
    recipients: z.array(recipientView).meta({ description: 'Each recipient and what became of it.' }),
  })
  .meta({ id: 'Email', description: 'The email, recipient by recipient.' });

export const acceptedView = z
  .object({
    id: z.string().meta({ description: 'The id to ask for it by, `em_…`.' }),
    object: objectField('email'),
    status: status.meta({ description: 'Where it stands now.' }),
  })
  .meta({
    id: 'AcceptedEmail',
    description: 'The email, and where it stands now.',
    examples: [{ id: 'em_01kb2m7x4p6q8s0t2v4w6x8y0z', object: 'email', status: 'queued' }],
  });
