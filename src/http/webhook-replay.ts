/** POST /v1/webhooks/:id/replay: sends events to an endpoint again, whether they were delivered or missed. */
import { z } from 'zod';
import { askedTypes, patternWords } from '../domain/event-types.ts';
import { isoOrNull } from '../domain/iso-time.ts';
import { instant } from '../domain/send-time.ts';
import type { Webhook } from '../domain/webhook.ts';
import type { Replayed, ReplayRequest } from '../pipeline/replay.ts';
import type { Webhooks } from '../store/webhooks.ts';
import { objectField, time } from './answer-fields.ts';
import { type CreationDeps, createOnce, creationHeaders, type Made } from './creations.ts';
import { deliveryExampleId } from './delivery-schemas.ts';
import { notFoundExamples } from './openapi/problem-examples.ts';
import { ProblemError, problemAnswers } from './problems.ts';
import type { Routes } from './server.ts';
import { webhookConfig as config, findWebhook } from './webhook-access.ts';
import { webhookParams } from './webhook-schemas.ts';

type Deps = CreationDeps<'ch'> & {
  webhooks: Pick<Webhooks, 'get'>;
  replay(webhook: Webhook, request: ReplayRequest, mark: Made['mark']): Promise<Replayed | null>;
};

const replayRequest = z
  .strictObject({
    since: instant.optional().meta({ description: 'Events from this time on: ISO 8601 with an offset.' }),
    until: instant.optional().meta({ description: 'Events up to this time. The default is now.' }),
    types: askedTypes
      .optional()
      .meta({ description: `Events of these types. ${patternWords} The default is all types that the endpoint gets.` }),
    event_id: z.string().max(100).optional().meta({ description: 'This event, of any type.' }),
    delivery_id: z
      .string()
      .max(100)
      .optional()
      .meta({ description: 'This delivery. A batch is sent again as it was.' }),
  })
  .refine(
    ({ since, event_id, delivery_id }) => [since, event_id, delivery_id].filter((by) => by !== undefined).length === 1,
    {
      message: 'must have one of since, event_id and delivery_id',
    },
  )
  .refine(({ since, until, types }) => since !== undefined || (until === undefined && types === undefined), {
    message: 'can have until and types only together with since',
  })
  .meta({
    id: 'WebhookReplayRequest',
    description: 'What to send again: the events of a time range, one event, or one delivery.',
  });

const replayView = z
  .object({
    object: objectField('webhook_replay'),
    id: z.string().meta({ description: 'The endpoint.' }),
    count: z.int().meta({ description: 'How many events or deliveries are sent again.' }),
    has_more: z
      .boolean()
      .meta({ description: 'Whether there are more in the range: one request looks at 100,000 events.' }),
    next_since: time
      .nullable()
      .meta({ description: 'The `since` to continue with; null if the whole range was looked at.' }),
  })
  .meta({
    id: 'WebhookReplay',
    description: 'The events are queued, as durably as new events.',
    examples: [
      { object: 'webhook_replay', id: 'wh_01kb2m8z5q7r9t1v3x5y7z9a1b', count: 412, has_more: false, next_since: null },
    ],
  });

const examples = {
  range: {
    summary: 'Bounces of one hour',
    value: { since: '2026-11-25T09:00:00Z', until: '2026-11-25T10:00:00Z', types: ['email.bounced'] },
  },
};

const missing = notFoundExamples(
  `There is no delivery ${deliveryExampleId} of that webhook, or its events are no longer stored`,
  '/v1/webhooks/wh_01kb2m8z5q7r9t1v3x5y7z9a1b/replay',
);

export function webhookReplayRoutes(deps: Deps): Routes {
  /** @returns the note for repeats */
  async function replayNow(webhook: Webhook, body: z.output<typeof replayRequest>, made: Made): Promise<string> {
    if (webhook.status === 'disabled')
      throw new ProblemError('conflict', `Webhook ${webhook.id} is disabled: enable it, and then replay`);
    const replayed = await deps.replay(webhook, requestOf(body, made.createdAt), made.mark);
    if (replayed === null) throw new ProblemError('not_found', missingDetail(body));
    return noteOf(replayed);
  }

  return (app) => {
    app.route({
      method: 'POST',
      url: '/webhooks/:id/replay',
      config,
      schema: {
        operationId: 'replayWebhook',
        summary: 'Replay events',
        description: [
          'Sends stored events to this endpoint again, each under its own `webhook-id`, so that a consumer can recognise events it already has. Events that the endpoint never got are sent too, for example those from a time when it was disabled.',
          'If the endpoint takes batches, the events of a range, or one given by its id, are put into new batches. Each event in a batch has its own id.',
          'With an `Idempotency-Key`, a repeat sends nothing twice. A repeat that comes while the first request is running, or after it broke off, does the rest.',
          'Once the record of an email was removed or its campaign was deleted, its tags are unknown. A range then has none of its events for an endpoint with a `filter`. The only exception are campaign emails, for an endpoint that filters by the lane `bulk` and no tags.',
        ].join('\n\n'),
        tags: ['webhooks'],
        headers: creationHeaders,
        params: webhookParams,
        body: replayRequest,
        response: { 202: replayView, ...problemAnswers(400, 404, 409, 413, 415, 422) },
        'x-examples': { body: examples, 404: missing },
      },
      handler: async (request, reply) => {
        const { id } = request.params;
        const webhook = await findWebhook(deps.webhooks, id);
        const given = { id, body: request.body };
        const replaying = (made: Made) => replayNow(webhook, request.body, made);
        const { note } = await createOnce(deps, 'ch', { request, reply, given }, replaying);
        const { count, restSince } = replayedOf(note);
        return reply.status(202).send({
          object: 'webhook_replay' as const,
          id,
          count,
          has_more: restSince !== null,
          next_since: isoOrNull(restSince),
        });
      },
    });
  };
}

/** The note from which a repeat is answered: a note is one word. */
function noteOf({ count, restSince }: Replayed): string {
  return `${count}:${restSince ?? ''}`;
}

function replayedOf(note: string): Replayed {
  const [count, restSince = ''] = note.split(':');
  return { count: Number(count), restSince: restSince === '' ? null : Number(restSince) };
}

function requestOf(
  { since = 0, until, types, event_id, delivery_id }: z.output<typeof replayRequest>,
  now: number,
): ReplayRequest {
  if (event_id !== undefined) return { kind: 'event', eventId: event_id };
  if (delivery_id !== undefined) return { kind: 'delivery', deliveryId: delivery_id };
  return { kind: 'range', since, until: until ?? now, ...(types === undefined ? {} : { types }) };
}

function missingDetail({ event_id, delivery_id }: z.output<typeof replayRequest>): string {
  if (event_id !== undefined)
    return `There is no event ${event_id}, or it is no longer stored, or its campaign was deleted. In the last case, replay the time it happened, with since`;
  return `There is no delivery ${delivery_id} of that webhook, or its events are no longer stored`;
}
