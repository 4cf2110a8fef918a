/** The schemas of webhook endpoints in answers. */
import { z } from 'zod';
import { eventTypes } from '../domain/event.ts';
import { lanes } from '../domain/lane.ts';
import { disabledReasons, type Webhook, webhookStatuses } from '../domain/webhook.ts';
import { deletedView, isoOf, isoOrNull, objectField, time } from './answer-fields.ts';
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
    status: z.enum(webhookStatuses).meta({ description: 'Whether it is told of events.' }),
    disabled_reason: z
      .enum(reasons)
      .nullable()
      .meta({
        description: `Why it is disabled, null while it is not. ${reasons.map((name) => `\`${name}\`: ${disabledReasons[name]}`).join('; ')}.`,
      }),
    failing_since: time.nullable().meta({
      description: 'When the first of the POSTs failed since which none succeeded; null when the last one did.',
    }),
    endpoint: z.string().meta({ description: 'Where events are POSTed to.' }),
    events: z.array(z.enum(eventTypes)).meta({ description: 'The types of event it is told of.' }),
    description: z.string().nullable().meta({ description: 'What it is for.' }),
    filter: z
      .object({
        tags: z
          .record(z.string(), z.string())
          .nullable()
          .meta({ description: 'The tags an email must have, by name.' }),
        lane: z.enum(lanes).nullable().meta({ description: 'The lane an email must be of.' }),
      })
      .nullable()
      .meta({ description: 'Which emails it is told of; of all when it is null.' }),
    batch: z
      .object({
        max_events: z.int().meta({ description: 'Events of one POST at most.' }),
        max_wait_ms: z.int().meta({ description: 'How long the first one waits for others, milliseconds.' }),
      })
      .nullable()
      .meta({ description: 'Several events in one POST; null for one in each.' }),
    headers: z
      .record(z.string(), z.literal('***'))
      .meta({ description: 'The headers that go with every POST. What they say is not shown again.' }),
    previous_secret_until: time
      .nullable()
      .meta({ description: 'Until when the secret before the last rotation signs as well; null when it does not.' }),
  })
  .meta({ id: 'Webhook', description: 'A webhook endpoint.', examples: [example] });

type WebhookView = z.output<typeof webhookView>;

const signingSecret = z
  .string()
  .meta({ description: 'Verifies the signature of each event, `whsec_…`. It is shown this once.' });
const exampleSecret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=';

export const createdWebhook = webhookView.extend({ signing_secret: signingSecret }).meta({
  id: 'CreatedWebhook',
  description: 'The endpoint was added. Store its signing secret now.',
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
    previous_secret_until: time.meta({ description: 'Until when the secret before it signs as well.' }),
  })
  .meta({
    description: 'The new secret. Both sign every POST until the old one ends.',
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
    event_id: z.string().meta({ description: 'The `webhook-id` it came under.' }),
    type: z.enum(eventTypes).meta({ description: 'What the made-up event told of; its data says `"test": true`.' }),
    ok: z.boolean().meta({ description: 'Whether it was answered with 2xx.' }),
    status: z.int().nullable().meta({ description: 'The status it was answered with; null when no answer came.' }),
    detail: z.string().nullable().meta({ description: 'What went wrong, in words; null when nothing did.' }),
    ms: z.number().min(0).meta({ description: 'How long that took, milliseconds.' }),
    body: z.string().nullable().meta({ description: 'The first 16 KB of the answer; null when none came.' }),
  })
  .meta({
    id: 'WebhookTest',
    description: 'What came back.',
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
