/** Webhook endpoints: which events they get, and what can be changed. */
import { z } from 'zod';
import type { EmailFacts } from './email.ts';
import { tag } from './email-fields.ts';
import type { EventType, OutboxEvent, WebhookEvent } from './event.ts';
import { askedTypes, patternWords } from './event-types.ts';
import { emptyListAsObject } from './json-object.ts';
import { type Lane, lanes } from './lane.ts';
import { webUrl } from './web-url.ts';
import { changedHeaders, webhookHeaderChanges, webhookHeaders } from './webhook-headers.ts';

const maxDescriptionLength = 500;
const maxTags = 10;
/** Events in one POST: a body of about half a megabyte, or several when emails are large. A batch too large for a consumer is sent in halves. */
const maxBatchEvents = 500;
const maxBatchWaitMs = 60_000;
const usualBatchWaitMs = 1_000;

const endpoint = webUrl(/^https?$/, 'must be an http or https URL').meta({
  format: 'uri',
  description: 'Where to POST events: an http or https URL without credentials.',
});
const events = askedTypes.describe(
  `The event types to deliver. ${patternWords} The endpoint has these types from then on, by their names.`,
);
const description = z
  .string()
  .max(maxDescriptionLength, { abort: true })
  .refine((text) => !/\p{Cc}/u.test(text), 'must not contain control characters')
  .refine((text) => text.isWellFormed(), 'must be well-formed Unicode')
  .nullable()
  .meta({ description: 'Your description of it.', examples: ['Receipts to the data warehouse'] });
const filter = z
  .strictObject({
    tags: z
      .preprocess(emptyListAsObject, z.record(tag.shape.name, tag.shape.value))
      .refine((tags) => Object.keys(tags).length <= maxTags, `must have at most ${maxTags} tags`)
      .optional()
      .meta({
        description: 'Only events of emails that have all of these tags, by name.',
        examples: [{ category: 'receipt' }],
      }),
    lane: z.enum(lanes).optional().meta({ description: 'Only events of emails in this lane.' }),
  })
  .nullable()
  .meta({
    description:
      'Which emails to deliver events of; null for all. Events that are not about an email are always delivered.',
  });
const batch = z
  .strictObject({
    max_events: z.int().min(1).max(maxBatchEvents).meta({ description: 'The maximum number of events in one POST.' }),
    max_wait_ms: z
      .int()
      .min(0)
      .max(maxBatchWaitMs)
      .default(usualBatchWaitMs)
      .meta({ description: 'How long the first event of a batch waits for others, in milliseconds.' }),
  })
  .nullable()
  .meta({
    description:
      'Sends several events in one POST, whose body is then a list, under one signature. Null for one event per POST.',
  });

/** In the order of the API. */
const settings = { endpoint, events, description, filter, batch };

export const webhookRequest = z
  .strictObject({
    ...settings,
    description: description.optional(),
    filter: filter.optional(),
    batch: batch.optional(),
    headers: webhookHeaders.optional(),
  })
  .meta({
    id: 'WebhookRequest',
    description: 'A webhook endpoint to add.',
    examples: [{ endpoint: 'https://app.example.com/hooks/mail', events: ['email.sent', 'email.bounced'] }],
  });

type WebhookRequest = z.output<typeof webhookRequest>;

export const webhookStatuses = ['enabled', 'disabled'] as const;

export const webhookChanges = z
  .strictObject(settings)
  .extend({
    status: z.enum(webhookStatuses).meta({
      description:
        '`disabled`: it gets no more events, and events waiting for it are dropped. `enabled`: it gets events from now on.',
    }),
    headers: webhookHeaderChanges,
    webhook_id: z.string().meta({ description: 'The id from the path, which some Resend SDKs repeat here.' }),
  })
  .partial()
  .meta({
    id: 'WebhookChanges',
    description: 'The fields to change. Fields that are left out are not changed.',
    examples: [{ status: 'enabled', events: ['email.bounced', 'email.complained'] }],
  });

type WebhookChanges = z.output<typeof webhookChanges>;

/** Why an endpoint gets no events any more, in the words of the API. */
export const disabledReasons = {
  by_request: 'somebody disabled it',
  gone: 'the endpoint answered 410',
  failing: 'no POST to it succeeded for as long as `WEBHOOK_DISABLE_AFTER` allows',
} as const;

export type DisabledReason = keyof typeof disabledReasons;

export type Webhook = {
  readonly id: string;
  readonly createdAt: number;
  readonly endpoint: string;
  readonly events: readonly EventType[];
  readonly status: (typeof webhookStatuses)[number];
  /** Null while the endpoint is enabled. */
  readonly disabledReason: DisabledReason | null;
  readonly description: string | null;
  readonly filter: { readonly tags?: Readonly<Record<string, string>>; readonly lane?: Lane } | null;
  readonly batch: { readonly maxEvents: number; readonly maxWaitMs: number } | null;
  /** Sent with every POST. In the store they are encrypted, like the secrets. */
  readonly headers: Readonly<Record<string, string>>;
  /** `whsec_` and base64. */
  readonly secret: string;
  /** The secret before the current one, which also signs until then. */
  readonly previousSecret: { readonly secret: string; readonly until: number } | null;
  /** Increases with each change. */
  readonly revision: number;
};

/** What is needed to match events with an endpoint. Nothing in it is secret. */
export type Listener = Omit<Webhook, 'secret' | 'previousSecret' | 'headers'>;

/** A new endpoint. */
export function makeWebhook(request: WebhookRequest, made: Pick<Webhook, 'id' | 'createdAt' | 'secret'>): Webhook {
  return {
    ...made,
    endpoint: request.endpoint,
    events: request.events,
    status: 'enabled',
    disabledReason: null,
    description: request.description ?? null,
    filter: filterOf(request.filter),
    batch: batchOf(request.batch),
    headers: request.headers ?? {},
    previousSecret: null,
    revision: 0,
  };
}

/** An endpoint after a change; null when it would have too many headers. */
export function changedWebhook(webhook: Webhook, changes: WebhookChanges): Webhook | null {
  const headers = changedHeaders(webhook.headers, changes.headers ?? {});
  if (headers === null) return null;
  const status = changes.status ?? webhook.status;
  const disabledReason = status === 'enabled' ? null : (webhook.disabledReason ?? 'by_request');
  return {
    ...webhook,
    status,
    disabledReason,
    headers,
    endpoint: changes.endpoint ?? webhook.endpoint,
    events: changes.events ?? webhook.events,
    description: changes.description === undefined ? webhook.description : changes.description,
    filter: changes.filter === undefined ? webhook.filter : filterOf(changes.filter),
    batch: changes.batch === undefined ? webhook.batch : batchOf(changes.batch),
  };
}

/** An endpoint after Postrider disabled it, with the event for that. Null when it is already disabled. */
export function disabledWebhook(
  webhook: Webhook,
  reason: Exclude<DisabledReason, 'by_request'>,
  event: { readonly id: string; readonly at: number },
): { readonly webhook: Webhook; readonly event: WebhookEvent } | null {
  if (webhook.status === 'disabled') return null;
  const { id: webhookId, endpoint } = webhook;
  return {
    webhook: { ...webhook, status: 'disabled', disabledReason: reason },
    event: { ...event, type: 'webhook.disabled', webhookId, endpoint, reason },
  };
}

function filterOf(filter: WebhookRequest['filter']): Webhook['filter'] {
  const { tags, lane } = filter ?? {};
  if (tags === undefined && lane === undefined) return null;
  return { ...(tags === undefined ? {} : { tags }), ...(lane === undefined ? {} : { lane }) };
}

function batchOf(batch: WebhookRequest['batch']): Webhook['batch'] {
  return batch ? { maxEvents: batch.max_events, maxWaitMs: batch.max_wait_ms } : null;
}

/**
 * Whether an endpoint gets an event.
 * @param facts of the email the event is about; null when it is about none, or the record is gone. Then no filter matches it, except by the lane
 * when the email was part of a campaign.
 */
export function wants(
  webhook: Pick<Listener, 'events' | 'filter' | 'status'>,
  event: OutboxEvent,
  facts: Pick<EmailFacts, 'tags' | 'lane'> | null,
): boolean {
  if (webhook.status === 'disabled' || !webhook.events.includes(event.type)) return false;
  if (webhook.filter === null || !('emailId' in event)) return true;
  const known = facts ?? (event.campaignId === undefined ? null : { tags: [], lane: 'bulk' as const });
  return known !== null && fits(webhook.filter, known);
}

function fits({ tags = {}, lane }: NonNullable<Webhook['filter']>, facts: Pick<EmailFacts, 'tags' | 'lane'>): boolean {
  if (lane !== undefined && lane !== facts.lane) return false;
  return Object.entries(tags).every(([name, value]) =>
    facts.tags.some((tag) => tag.name === name && tag.value === value),
  );
}
