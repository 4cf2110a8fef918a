/** An event as readers of the feed see it: in a list, and as a frame of the live stream. */
import { z } from 'zod';
import { bounceSubTypes, bounceTypes } from '../domain/bounce.ts';
import {
  campaignEventTypes,
  emailEventTypes,
  eventPayload,
  suppressedType,
  transportEventTypes,
  webhookEventTypes,
} from '../domain/event.ts';
import type { FeedItem } from '../domain/event-feed.ts';
import { faultCauses } from '../domain/fault-cause.ts';
import { replyCategories } from '../domain/reply-row.ts';
import { objectField, time } from './answer-fields.ts';
import { smtpView } from './email-schemas.ts';
import { eventExample } from './openapi/event-examples.ts';
import { toFrame } from './sse.ts';

const ofRecord = 'Null once the record of the email has been removed.';

const emailData = z
  .looseObject({
    email_id: z.string().meta({ description: 'The email it is about.' }),
    sequence: z.int().meta({ description: 'The number of this event among those of the email, from 1.' }),
    created_at: time.nullable().meta({ description: `When the email was accepted. ${ofRecord}` }),
    message_id: z
      .string()
      .nullable()
      .meta({ description: `Its Message-ID. ${ofRecord}` }),
    from: z
      .string()
      .nullable()
      .meta({ description: `The sender. ${ofRecord}` }),
    to: z.array(z.string()).meta({ description: 'The recipients that the event is about.' }),
    subject: z
      .string()
      .nullable()
      .meta({ description: `The subject line. ${ofRecord}` }),
    tags: z.record(z.string(), z.string()).meta({ description: 'Its labels, by name.' }),
    metadata: z.record(z.string(), z.unknown()).meta({ description: 'The metadata you gave.' }),
    external_id: z.string().nullable().meta({ description: 'Your own id for it.' }),
    campaign_id: z.string().nullable().meta({ description: 'The campaign it is part of.' }),
    attempt: z.int().meta({ description: 'The attempt that caused it; 0 for none.' }),
    transport: z.string().nullable().meta({ description: 'The transport that was used.' }),
    smtp: smtpView.nullable().meta({ description: 'The reply that caused it; null if none did.' }),
    reason: z.string().nullable().meta({ description: 'The reason, if no reply explains it.' }),
    bounce: z
      .object({
        type: z.enum(bounceTypes).meta({
          description:
            '`Permanent`: the mailbox does not exist. `Transient`: another message, sender or time may work.',
        }),
        subType: z.enum(bounceSubTypes).meta({ description: 'The cause, as SES names it.' }),
        message: z.string().meta({ description: 'The text of `smtp` or `reason`.' }),
        category: z
          .enum(replyCategories)
          .nullable()
          .meta({ description: 'How Postrider classified the reply; null without one.' }),
        suppressed: z.boolean().meta({ description: 'Whether this bounce put the address on the suppression list.' }),
      })
      .optional()
      .meta({
        description:
          'With `email.bounced`: the kind of bounce, in the fields the Resend SDKs read, and its consequences.',
      }),
    failed: z
      .object({ reason: z.string().meta({ description: 'The text of `smtp` or `reason`.' }) })
      .optional()
      .meta({ description: 'With `email.failed`: the reason again, in the field the Resend SDKs read.' }),
    suppressed: z
      .object({
        message: z.string().meta({ description: 'The text of `reason`.' }),
        type: z.literal(suppressedType).meta({ description: 'Always this value.' }),
      })
      .optional()
      .meta({ description: 'With `email.suppressed`: the reason again, in the fields the Resend SDKs read.' }),
  })
  .meta({ id: 'EmailEventData', description: 'The data of an event about an email.' });

const campaignData = z
  .looseObject({ campaign_id: z.string().meta({ description: 'The campaign it is about.' }) })
  .meta({ id: 'CampaignEventData', description: 'The data of an event about a campaign.' });

const transportData = z
  .looseObject({
    transport: z.string().meta({ description: 'The transport it is about, by its name.' }),
    reason: z.string().nullable().meta({ description: 'What is wrong with it, in words; null if nothing is.' }),
    cause: z.enum(faultCauses).nullable().meta({ description: 'The kind of trouble; null if nothing is wrong.' }),
  })
  .meta({ id: 'TransportEventData', description: 'The data of an event about a transport.' });

const webhookData = z
  .looseObject({
    webhook_id: z.string().meta({ description: 'The endpoint that was disabled.' }),
    endpoint: z.string().meta({ description: 'The URL that its events were sent to.' }),
    reason: z.string().meta({ description: 'Why it was disabled.' }),
  })
  .meta({ id: 'WebhookEventData', description: 'The data of an event about a webhook.' });

const times = {
  timestamp: time.meta({ description: 'When it happened.' }),
  created_at: time.meta({ description: 'The same as `timestamp`.' }),
};
const what = { description: 'The type of the event.' };

/** The type of an event says what its data holds. */
const ofEmail = { type: z.enum(emailEventTypes).meta(what), ...times, data: emailData };
const ofCampaign = { type: z.enum(campaignEventTypes).meta(what), ...times, data: campaignData };
const ofTransport = { type: z.enum(transportEventTypes).meta(what), ...times, data: transportData };
const ofWebhook = { type: z.enum(webhookEventTypes).meta(what), ...times, data: webhookData };

const place = {
  object: objectField('event'),
  id: z
    .string()
    .meta({ description: 'Its id, `ev_…`, which is also the `webhook-id` of a POST with this event alone.' }),
  cursor: z.string().meta({ description: 'Its place in the feed. Give it as `after` to continue after this event.' }),
};

export const eventView = z
  .discriminatedUnion('type', [
    z.object({ ...place, ...ofEmail }),
    z.object({ ...place, ...ofCampaign }),
    z.object({ ...place, ...ofTransport }),
    z.object({ ...place, ...ofWebhook }),
  ])
  .meta({
    id: 'Event',
    description: 'An event as webhooks get it, with its place in the feed.',
    examples: [eventExample],
  });

const inBatch = {
  id: z
    .string()
    .optional()
    .meta({ description: 'Its id, `ev_…`. Only in a batch, where the `webhook-id` is the id of the batch.' }),
};

/** Not part of any answer: with it the document describes the payload of webhooks. */
export const payloadView = z
  .discriminatedUnion('type', [
    z.looseObject({ ...inBatch, ...ofEmail }),
    z.looseObject({ ...inBatch, ...ofCampaign }),
    z.looseObject({ ...inBatch, ...ofTransport }),
    z.looseObject({ ...inBatch, ...ofWebhook }),
  ])
  .meta({ id: 'EventPayload', description: 'An event as webhooks get it.' });

export const eventPage = z
  .object({
    object: objectField('list'),
    has_more: z.boolean().meta({ description: 'Whether there are more events after `next` already.' }),
    next: z.string().nullable().meta({
      description: 'The `after` for the next request, even if `data` is empty; null while there is no event yet.',
    }),
    data: z.array(eventView).meta({ description: 'The events of this page, oldest first.' }),
  })
  .meta({
    description: 'The matching events, oldest first.',
    examples: [{ object: 'list', has_more: false, next: eventExample.cursor, data: [eventExample] }],
  });

export function viewOf({ cursor, event, facts }: FeedItem): z.input<typeof eventView> {
  const view = { object: 'event', id: event.id, cursor, ...eventPayload(event, facts) };
  return view as z.input<typeof eventView>; // which each type of event is held to by tests
}

/** The `data` of a frame is the same JSON as an item of the list. */
export function frameOf(item: FeedItem): string {
  return toFrame({ id: item.cursor, event: item.event.type, data: JSON.stringify(viewOf(item)) });
}

/** Tells a reader that events up to a place were removed before it read them. */
export function gapFrame(upTo: string): string {
  return toFrame({ id: upTo, event: gapEvent, data: JSON.stringify({ object: 'gap', cursor: upTo }) });
}

export const gapEvent = 'feed.gap';
