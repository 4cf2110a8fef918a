/** What a reader of the feed sees of an event: in a list, and as a frame of the live stream. */
import { z } from 'zod';
import { eventPayload, eventTypes } from '../domain/event.ts';
import type { FeedItem } from '../domain/event-feed.ts';
import { objectField, time } from './answer-fields.ts';
import { smtpView } from './email-schemas.ts';
import { eventExample } from './openapi/event-examples.ts';
import { toFrame } from './sse.ts';

const ofRecord = 'Null once the record of the email has been removed.';

const emailData = z
  .looseObject({
    email_id: z.string().meta({ description: 'The email it is about.' }),
    sequence: z.int().meta({ description: 'Counts the events of this email, from 1: its order.' }),
    created_at: time.nullable().meta({ description: `When the email was accepted. ${ofRecord}` }),
    message_id: z
      .string()
      .nullable()
      .meta({ description: `Its Message-ID. ${ofRecord}` }),
    from: z
      .string()
      .nullable()
      .meta({ description: `Who it is from. ${ofRecord}` }),
    to: z.array(z.string()).meta({ description: 'The recipients that the event is about.' }),
    subject: z
      .string()
      .nullable()
      .meta({ description: `The subject line. ${ofRecord}` }),
    tags: z.record(z.string(), z.string()).meta({ description: 'Its labels, by name.' }),
    metadata: z.record(z.string(), z.unknown()).meta({ description: 'What you gave with it.' }),
    external_id: z.string().nullable().meta({ description: 'Your own id for it.' }),
    attempt: z.int().meta({ description: 'Which attempt it came of; 0 for none.' }),
    transport: z.string().nullable().meta({ description: 'The transport that was used.' }),
    smtp: smtpView.nullable().meta({ description: 'The reply that led to it; null when none did.' }),
    reason: z.string().nullable().meta({ description: 'Why, where no reply says so.' }),
  })
  .meta({ id: 'EmailEventData', description: 'What an event says of an email.' });

const otherData = z
  .record(z.string(), z.unknown())
  .meta({ description: 'What an event says of something else, such as a transport.' });

export const eventView = z
  .object({
    object: objectField('event'),
    id: z.string().meta({ description: 'Its id, `ev_…`: the `webhook-id` under which webhooks are told of it.' }),
    cursor: z.string().meta({ description: 'Its place in the feed: give it as `after` to go on behind it.' }),
    type: z.enum(eventTypes).meta({ description: 'What happened.' }),
    timestamp: time.meta({ description: 'When it happened.' }),
    created_at: time.meta({ description: 'The same as `timestamp`.' }),
    data: z.union([emailData, otherData]).meta({ description: 'What it happened to, and how.' }),
  })
  .meta({
    id: 'Event',
    description: 'Something that happened, as webhooks tell of it, with its place.',
    examples: [eventExample],
  });

export const eventPage = z
  .object({
    object: objectField('list'),
    has_more: z.boolean().meta({ description: 'Whether the feed goes on behind `next` by now.' }),
    next: z.string().nullable().meta({
      description:
        'What to give as `after` the next time, also when `data` is empty; null while there is no event yet.',
    }),
    data: z.array(eventView).meta({ description: 'This page, oldest first.' }),
  })
  .meta({
    description: 'The events that fit, oldest first.',
    examples: [{ object: 'list', has_more: false, next: eventExample.cursor, data: [eventExample] }],
  });

export function viewOf({ cursor, event, facts }: FeedItem): z.input<typeof eventView> {
  return { object: 'event', id: event.id, cursor, ...eventPayload(event, facts) };
}

/** As its `data` a reader gets what the list has. */
export function frameOf(item: FeedItem): string {
  return toFrame({ id: item.cursor, event: item.event.type, data: JSON.stringify(viewOf(item)) });
}

/** Tells a reader that events up to a place were removed before it came. */
export function gapFrame(upTo: string): string {
  return toFrame({ id: upTo, event: gapEvent, data: JSON.stringify({ object: 'gap', cursor: upTo }) });
}

export const gapEvent = 'feed.gap';
