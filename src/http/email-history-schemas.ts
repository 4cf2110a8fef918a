/** The schemas of an email's timeline and of its explanation. */
import { z } from 'zod';
import { emailEventTypes } from '../domain/event.ts';
import { explanationReasons } from '../domain/explain.ts';
import { historyKinds } from '../domain/timeline.ts';
import { objectField, status, time } from './answer-fields.ts';
import { smtpView } from './email-schemas.ts';

const eventView = z
  .object({
    id: z.string().meta({ description: 'Its id, `ev_…`, which the webhook carries, too.' }),
    type: z.enum(emailEventTypes).meta({ description: 'What happened.' }),
    sequence: z.int().meta({ description: 'Its number among the events of this email, from 1.' }),
    to: z.array(z.string()).meta({ description: 'The recipients it is about.' }),
    smtp: smtpView.nullable().meta({ description: 'The reply that led to it.' }),
    reason: z.string().nullable().meta({ description: 'Why, where no reply says so.' }),
  })
  .meta({ id: 'EmailEvent', description: 'An event, as webhooks tell of it.' });

const phaseMs = z.int().nullable();

const msView = z.object({
  connect: phaseMs.meta({ description: 'Connecting, TLS and login; null where a kept connection was used.' }),
  envelope: phaseMs.meta({ description: 'MAIL FROM, RCPT TO and DATA, until the server took them.' }),
  body: phaseMs.meta({ description: 'The message, until the server answered for it.' }),
});

export const entryView = z
  .object({
    at: time.meta({ description: 'When it happened.' }),
    kind: z.enum(historyKinds).meta({
      description:
        'What happened: `accepted`, an attempt by what came of it, or a change you asked for. `awaited` is a recipient of a campaign whom the sandbox answers late.',
    }),
    detail: z.string().nullable().meta({ description: 'What went wrong, where no reply says so.' }),
    transport: z.string().nullable().meta({ description: 'The transport that tried.' }),
    host: z.string().nullable().meta({ description: 'The server it spoke to, as `host:port`.' }),
    tls: z
      .string()
      .nullable()
      .meta({ description: 'The version of TLS; null for plaintext, or when the attempt did not get that far.' }),
    ms: msView.nullable().meta({ description: 'Milliseconds of each phase of an attempt.' }),
    events: z.array(eventView).meta({
      description:
        'The events it led to; none where an email was accepted with its campaign, as `campaign.started` is told for all.',
    }),
  })
  .meta({ id: 'HistoryEntry', description: 'One thing that happened to an email.' });

export const historyView = z
  .object({
    object: objectField('list'),
    has_more: z.literal(false).meta({ description: 'A timeline comes whole.' }),
    transport_faults: z.int().meta({
      description: 'Tries that failed through trouble of the transport and changed nothing: counted here, not listed.',
    }),
    data: z.array(entryView).meta({ description: 'What happened, oldest first.' }),
  })
  .meta({ description: 'The timeline of the email.' });

const whyView = z.object({
  email: z.string().meta({ description: 'The address.' }),
  status: status.meta({ description: 'Where this recipient stands.' }),
  why: z.string().meta({ description: 'Why it stands there, in plain words.' }),
});

export const explanationView = z
  .object({
    object: objectField('explanation'),
    email_id: z.string().meta({ description: 'The email.' }),
    status: status.meta({ description: 'Where it stands.' }),
    reason: z.enum(explanationReasons).meta({ description: 'What it waits for, by name.' }),
    summary: z.string().meta({ description: 'The same in plain words.' }),
    moves_at: time.nullable().meta({
      description: 'When it will move by itself; null when that is as soon as possible, or never.',
    }),
    ends_at: time.nullable().meta({ description: 'When it is given up at the latest; null once nothing is pending.' }),
    recipients: z.array(whyView).meta({ description: 'The same for each recipient.' }),
  })
  .meta({ id: 'Explanation', description: 'Where the email is and why.' });
