/** How answers show deliveries: what was sent to a webhook endpoint, and the result of each try. */
import { z } from 'zod';
import { type Delivery, deliveryStatuses, placesIn, type Try } from '../domain/delivery.ts';
import { eventTypes } from '../domain/event.ts';
import { isoOf, isoOrNull } from '../domain/iso-time.ts';
import { objectField, time } from './answer-fields.ts';
import { notFoundExamples } from './openapi/problem-examples.ts';
import { pageOf } from './paging.ts';

const summary = {
  object: 'webhook_delivery' as const,
  id: 'dl_1764063012345_0',
  status: 'pending' as const,
  message_id: 'ev_01kb2m7x4p6q8s0t2v4w6x8y0z_2',
  event_types: ['email.sent' as const],
  events: 1,
  attempts: 1,
  last_attempt_at: '2026-11-25T09:30:12.402Z',
  last_status: 500,
  detail: 'answered 500',
  next_attempt_at: '2026-11-25T09:30:17.402Z',
};

const fields = z.object({
  object: objectField('webhook_delivery'),
  id: z.string().meta({ description: 'Its id, `dl_…`. Ids sort by the time of the first event.' }),
  status: z.enum(deliveryStatuses).meta({
    description:
      '`pending`: tried, and will be tried again. `success`: answered with 2xx. `failed`: not tried again unless it is replayed.',
  }),
  message_id: z.string().nullable().meta({
    description:
      'The `webhook-id` of its POST, the same at each try: the id of the event, or of the batch. Null if the event was lost before the first try.',
  }),
  event_types: z.array(z.enum(eventTypes)).meta({ description: 'The types of its events.' }),
  events: z.int().meta({ description: 'How many events are in it.' }),
  attempts: z.int().meta({ description: 'The number of tries.' }),
  last_attempt_at: time.nullable().meta({ description: 'The time of the last try; null if there was none.' }),
  last_status: z.int().nullable().meta({ description: 'The status of the last answer; null if there was none.' }),
  detail: z
    .string()
    .nullable()
    .meta({ description: 'What went wrong at the last try, in words; null if nothing did.' }),
  next_attempt_at: time.nullable().meta({
    description:
      'The earliest time of the next try, while it is `pending`. Null otherwise, also while it waits for a replay.',
  }),
});

const deliveryView = fields.meta({
  id: 'WebhookDelivery',
  description: 'One POST to an endpoint, with its tries.',
  examples: [summary],
});

const attempt = z.object({
  at: time.meta({ description: 'The time of the try.' }),
  status: z.int().nullable().meta({ description: 'The status of the answer; null if there was none.' }),
  detail: z.string().nullable().meta({ description: 'What went wrong, in words; null if nothing did.' }),
  ms: z.number().min(0).meta({ description: 'How long it took, in milliseconds.' }),
  response: z.string().nullable().meta({
    description:
      'The first 16 KB of the answer; null if there was none or it was empty. The last 200 answers of an endpoint are kept.',
  }),
});

const attemptExample = {
  at: '2026-11-25T09:30:12.402Z',
  status: 500,
  detail: 'answered 500',
  ms: 31.4,
  response: 'database is locked',
};

export const deliveryDetail = fields
  .extend({
    request: z
      .object({
        headers: z.record(z.string(), z.string()).meta({
          description:
            'The headers of the last try; your own headers are named as they are set now. Secrets and signatures are shown as `***`.',
        }),
        body: z.string().nullable().meta({
          description:
            'The body, made again from its events; null once one of them is no longer stored (`RETENTION_EVENTS`).',
        }),
      })
      .nullable()
      .meta({ description: 'The request that was sent; null if none was sent yet.' }),
    tries: z.array(attempt).meta({ description: 'The last 30 tries, oldest first.' }),
  })
  .meta({
    id: 'WebhookDeliveryDetail',
    description: 'A delivery with its request and the result of each try.',
    examples: [
      {
        ...summary,
        request: {
          headers: {
            'webhook-id': summary.message_id,
            'webhook-timestamp': '1764063012',
            'webhook-signature': 'v1,***',
            'svix-id': summary.message_id,
            'svix-timestamp': '1764063012',
            'svix-signature': 'v1,***',
          },
          body: '{"type":"email.sent","timestamp":"2026-11-25T09:30:12.345Z","created_at":"2026-11-25T09:30:12.345Z","data":{}}',
        },
        tries: [attemptExample],
      },
    ],
  });

export const deliveryPage = pageOf(deliveryView).meta({
  description: 'Deliveries, newest first. Deliveries still waiting for their first try are not listed.',
  examples: [{ object: 'list', has_more: false, data: [summary] }],
});

export const missingDelivery = {
  404: notFoundExamples(
    `There is no delivery ${summary.id} of that webhook`,
    `/v1/webhooks/wh_01kb2m8z5q7r9t1v3x5y7z9a1b/deliveries/${summary.id}`,
  ),
};
export const deliveryExampleId = summary.id;

export function deliveryViewOf(delivery: Delivery): z.output<typeof deliveryView> {
  const last = delivery.tries.at(-1);
  return {
    object: 'webhook_delivery',
    id: delivery.id,
    status: delivery.status,
    message_id: delivery.webhookId,
    event_types: [...delivery.types],
    events: placesIn(delivery.parcel).length,
    attempts: delivery.attempts,
    last_attempt_at: last === undefined ? null : isoOf(last.at),
    last_status: statusOf(last),
    detail: delivery.reason ?? last?.detail ?? null,
    next_attempt_at: isoOrNull(delivery.nextAt),
  };
}

function statusOf(tried: Try | undefined): number | null {
  return tried === undefined || tried.status === 0 ? null : tried.status;
}

/** @param answers of all tries, including those that are no longer listed */
export function triesOf({ tries, attempts }: Delivery, answers: readonly (string | null)[]) {
  return tries.map((tried, index) => ({
    at: isoOf(tried.at),
    status: statusOf(tried),
    detail: tried.detail,
    ms: tried.ms,
    response: answers[attempts - tries.length + index] ?? null,
  }));
}
