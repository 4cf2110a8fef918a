/** The schemas of webhook endpoints in answers. */
import { z } from 'zod';
import { eventTypes } from '../domain/event.ts';
import { isoOf, isoOrNull } from '../domain/iso-time.ts';
import { lanes } from '../domain/lane.ts';
import { disabledReasons, type Webhook, webhookStatuses } from '../domain/webhook.ts';
import { deletedView, objectField, time } from './answer-fields.ts';
import { notFoundExamples } from './openapi/problem-examples.ts';
import { pageOf } from './paging.ts';

const example = {
  object: 'webhook' as const,
  id: 'wh_01kb2m8z5q7r9t1v3x5y7z9a1b',
  created_at: '2026-11-24T09:30:00.000Z',
  status: 'enabled' as const,
  disabled_reason: null,
  failing_since: null,
  endpoint: 'https://app.example.com/hooks/mail',
  events: ['email.sent' as const, 'email.bounced' as const],
  description: null,
  filter: null,
  batch: null,
  headers: {},
  previous_secret_until: null,
};

const reasons = Object.keys(disabledReasons) as (keyof typeof disabledReasons)[];

export const webhookView = z
  .object({
    object: objectField('webhook'),
    id: z.string().meta({ description: 'Its id, `wh_…`.' }),
    created_at: time.meta({ description: 'When it was added.' }),
    status: z.enum(webhookStatuses).meta({ description: 'Whether it gets events.' }),
    disabled_reason: z
      .enum(reasons)
      .nullable()
      .meta({
        description: `Why it is disabled; null while it is enabled. ${reasons.map((name) => `\`${name}\`: ${disabledReasons[name]}`).join('; ')}.`,
      }),
    failing_since: time.nullable().meta({
      description: 'When the current run of failed POSTs began; null if the last POST succeeded.',
    }),
    endpoint: z.string().meta({ description: 'The URL that events are POSTed to.' }),
    events: z.array(z.enum(eventTypes)).meta({ description: 'The event types it gets.' }),
    description: z.string().nullable().meta({ description: 'Your description of it.' }),
    filter: z
      .object({
        tags: z
          .record(z.string(), z.string())
          .nullable()
          .meta({ description: 'The tags an email must have, by name.' }),
        lane: z.enum(lanes).nullable().meta({ description: 'The lane an email must be in.' }),
      })
      .nullable()
      .meta({ description: 'Which emails it gets events of; null for all.' }),
    batch: z
      .object({
        max_events: z.int().meta({ description: 'The maximum number of events in one POST.' }),
        max_wait_ms: z.int().meta({ description: 'How long the first event waits for others, in milliseconds.' }),
      })
      .nullable()
      .meta({ description: 'Whether several events come in one POST; null for one event per POST.' }),
    headers: z
      .record(z.string(), z.literal('***'))
      .meta({ description: 'The headers sent with every POST. Their values are not shown.' }),
    previous_secret_until: time
      .nullable()
      .meta({ description: 'How long the secret before the last rotation also signs; null if it no longer does.' }),
  })
  .meta({ id: 'Webhook', description: 'A webhook endpoint.', examples: [example] });

type WebhookView = z.output<typeof webhookView>;

const signingSecret = z
  .string()
  .meta({ description: 'The secret to verify the signature of each event, `whsec_…`. It is shown only once.' });
const exampleSecret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=';

export const createdWebhook = webhookView.extend({ signing_secret: signingSecret }).meta({
  id: 'CreatedWebhook',
  description: 'The endpoint was added. Store its signing secret now: it is not shown again.',
  examples: [{ ...example, signing_secret: exampleSecret }],
});

export const changedWebhookView = webhookView.meta({
  description: 'The endpoint as it is now.',
  examples: [example],
});

export const rotatedSecret = z
  .object({
    object: objectField('webhook'),
    id: z.string().meta({ description: 'The endpoint.' }),
    signing_secret: signingSecret,
    previous_secret_until: time.meta({ description: 'How long the previous secret also signs.' }),
  })
  .meta({
    description: 'The new secret. Both secrets sign every POST until the old one ends.',
    examples: [
      {
        object: 'webhook',
        id: example.id,
        signing_secret: exampleSecret,
        previous_secret_until: '2026-11-25T09:30:00.000Z',
      },
    ],
  });

export const testResult = z
  .object({
    object: objectField('webhook_test'),
    id: z.string().meta({ description: 'The endpoint.' }),
    event_id: z.string().meta({ description: 'The `webhook-id` of the test event.' }),
    type: z.enum(eventTypes).meta({ description: 'The type of the test event. Its data has `"test": true`.' }),
    ok: z.boolean().meta({ description: 'Whether the answer was 2xx.' }),
    status: z.int().nullable().meta({ description: 'The status of the answer; null if there was none.' }),
    detail: z.string().nullable().meta({ description: 'What went wrong, in words; null if nothing did.' }),
    ms: z.number().min(0).meta({ description: 'How long it took, in milliseconds.' }),
    body: z.string().nullable().meta({ description: 'The first 16 KB of the answer; null if there was none.' }),
  })
  .meta({
    id: 'WebhookTest',
    description: 'The answer of the endpoint.',
    examples: [
      {
        object: 'webhook_test',
        id: example.id,
        event_id: 'ev_01kb2m9c7s9v1x3z5b7d9f1h3k',
        type: 'email.sent',
        ok: false,
        status: 401,
        detail: 'answered 401',
        ms: 48.2,
        body: '{"error":"signature"}',
      },
    ],
  });

export const webhookList = pageOf(webhookView).meta({
  description: 'Webhook endpoints, newest first.',
  examples: [{ object: 'list', has_more: false, data: [example] }],
});

export const deletedWebhook = deletedView('webhook').meta({
  description: 'The endpoint was removed.',
  examples: [{ object: 'webhook', id: example.id, deleted: true }],
});

export const webhookParams = z.object({
  id: z.string().meta({ description: 'The id of the endpoint, `wh_…`.', examples: [example.id] }),
});

export const missingWebhook = {
  404: notFoundExamples(`There is no webhook ${example.id}`, `/v1/webhooks/${example.id}`),
};

/** @param failingSince milliseconds since the epoch */
export function webhookViewOf(webhook: Webhook, failingSince: number | null, now: number): WebhookView {
  const { filter, batch, previousSecret } = webhook;
  return {
    object: 'webhook',
    id: webhook.id,
    created_at: isoOf(webhook.createdAt),
    status: webhook.status,
    disabled_reason: webhook.disabledReason,
    failing_since: isoOrNull(failingSince),
    endpoint: webhook.endpoint,
    events: [...webhook.events],
    description: webhook.description,
    filter: filter === null ? null : { tags: filter.tags ?? null, lane: filter.lane ?? null },
    batch: batch === null ? null : { max_events: batch.maxEvents, max_wait_ms: batch.maxWaitMs },
    headers: Object.fromEntries(Object.keys(webhook.headers).map((name) => [name, '***' as const])),
    previous_secret_until: previousSecret !== null && previousSecret.until > now ? isoOf(previousSecret.until) : null,
  };
}
