/** The schemas of an email's timeline and of its explanation. */
import { z } from 'zod';
import { emailEventTypes } from '../domain/event.ts';
import { explanationReasons } from '../domain/explain.ts';
import { historyKinds, maxTimelineSteps } from '../domain/timeline.ts';
import { objectField, status, time } from './answer-fields.ts';
import { smtpView } from './email-schemas.ts';

const eventView = z
  .object({
    id: z.string().meta({ description: 'Its id, `ev_…`, which is also the `webhook-id`.' }),
    type: z.enum(emailEventTypes).meta({ description: 'The type of the event.' }),
    sequence: z.int().meta({ description: 'The number of this event among those of the email, from 1.' }),
    to: z.array(z.string()).meta({ description: 'The recipients it is about.' }),
    smtp: smtpView.nullable().meta({ description: 'The reply that caused it.' }),
    reason: z.string().nullable().meta({ description: 'The reason, if no reply explains it.' }),
  })
  .meta({ id: 'EmailEvent', description: 'An event, as webhooks send it.' });

const phaseMs = z.int().nullable();

const msView = z.object({
  connect: phaseMs.meta({ description: 'Connecting, TLS and login; null if an existing connection was used.' }),
  envelope: phaseMs.meta({ description: 'MAIL FROM, RCPT TO and DATA, until the server accepted them.' }),
  body: phaseMs.meta({ description: 'The message, until the server answered.' }),
});

export const entryView = z
  .object({
    at: time.meta({ description: 'When it happened.' }),
    kind: z.enum(historyKinds).meta({
      description:
        'What happened: `accepted`, an attempt (named by its result), or a change you requested. `awaited`: the sandbox answers this recipient of a campaign later.',
    }),
    detail: z.string().nullable().meta({ description: 'What went wrong, if no reply explains it.' }),
    transport: z.string().nullable().meta({ description: 'The transport that tried.' }),
    host: z.string().nullable().meta({ description: 'The server it spoke to, as `host:port`.' }),
    tls: z
      .string()
      .nullable()
      .meta({ description: 'The TLS version; null without TLS, or if the attempt failed earlier.' }),
    ms: msView.nullable().meta({ description: 'Milliseconds of each phase of an attempt.' }),
    events: z.array(eventView).meta({
      description:
        'The events it caused. None for an email accepted with its campaign: `campaign.started` stands for all of them.',
    }),
  })
  .meta({ id: 'HistoryEntry', description: 'One thing that happened to an email.' });

export const historyView = z
  .object({
    object: objectField('list'),
    has_more: z.literal(false).meta({ description: 'Always false: there are no further pages.' }),
    dropped_entries: z.int().meta({
      description: `How many entries are no longer kept. Once there are more than ${maxTimelineSteps} after the acceptance, the oldest of them are dropped.`,
    }),
    transport_faults: z.int().meta({
      description:
        'Number of attempts that failed because of transport trouble and changed nothing. They are not listed.',
    }),
    data: z.array(entryView).meta({ description: 'What happened, oldest first.' }),
  })
  .meta({ description: 'The timeline of the email.' });

const whyView = z.object({
  email: z.string().meta({ description: 'The address.' }),
  status: status.meta({ description: 'The status of this recipient.' }),
  why: z.string().meta({ description: 'The reason, in plain words.' }),
});

export const explanationView = z
  .object({
    object: objectField('explanation'),
    email_id: z.string().meta({ description: 'The email.' }),
    status: status.meta({ description: 'The status of the email.' }),
    reason: z.enum(explanationReasons).meta({ description: 'What it waits for, as a code.' }),
    summary: z.string().meta({ description: 'What it waits for, in plain words.' }),
    moves_at: time.nullable().meta({
      description: 'When it continues by itself; null if that is as soon as possible, or never.',
    }),
    ends_at: time
      .nullable()
      .meta({ description: 'The latest time at which it is given up; null if nothing is pending.' }),
    recipients: z.array(whyView).meta({ description: 'The same for each recipient.' }),
  })
  .meta({ id: 'Explanation', description: 'What the email waits for and why.' });
