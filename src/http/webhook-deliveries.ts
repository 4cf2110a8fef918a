/** /v1/webhooks/:id/deliveries: what was sent to an endpoint, and the result of each try. */
import { z } from 'zod';
import { type Delivery, deliveryIdForm, deliveryStatuses, isBatch, placesIn } from '../domain/delivery.ts';
import { eventTypes } from '../domain/event.ts';
import type { Webhook } from '../domain/webhook.ts';
import { bodyOf, type IdentifiedPayload, requestHeaders } from '../domain/webhook-request.ts';
import { signatureFamilies } from '../domain/webhook-signature.ts';
import type { Deliveries } from '../store/deliveries.ts';
import type { Events } from '../store/events.ts';
import type { Webhooks } from '../store/webhooks.ts';
import {
  deliveryDetail,
  deliveryExampleId,
  deliveryPage,
  deliveryViewOf,
  missingDelivery,
  triesOf,
} from './delivery-schemas.ts';
import { pageQueryOf } from './paging.ts';
import { ProblemError, problemAnswers } from './problems.ts';
import type { App, Routes } from './server.ts';
import { webhookConfig as config, findWebhook } from './webhook-access.ts';
import { missingWebhook, webhookParams } from './webhook-schemas.ts';

type Deps = {
  webhooks: Pick<Webhooks, 'get'>;
  deliveries: Pick<Deliveries, 'page' | 'get' | 'answers'>;
  events: Pick<Events, 'find'>;
  buildPayloads(parcel: string): Promise<IdentifiedPayload[]>;
};

const tags = ['webhooks'];

const listQuery = pageQueryOf(deliveryIdForm, 'a delivery').safeExtend({
  status: z.enum(deliveryStatuses).optional().meta({ description: 'Only deliveries with this status.' }),
  event_type: z.enum(eventTypes).optional().meta({ description: 'Only deliveries with an event of this type.' }),
  event_id: z
    .string()
    .max(100)
    .optional()
    .meta({ description: 'Only deliveries with this event.', examples: ['ev_01kb2m7x4p6q8s0t2v4w6x8y0z_2'] }),
});

const params = webhookParams.extend({
  delivery_id: z.string().meta({ description: 'The id of the delivery, `dl_…`.', examples: [deliveryExampleId] }),
});

export function webhookDeliveryRoutes(deps: Deps): Routes {
  return (app) => {
    addList(app, deps);
    addReading(app, deps);
  };
}

function addList(app: App, deps: Deps): void {
  app.route({
    method: 'GET',
    url: '/webhooks/:id/deliveries',
    config,
    schema: {
      operationId: 'listWebhookDeliveries',
      summary: 'List deliveries to an endpoint',
      description:
        'Newest first. The last 1,000 successful and the last 1,000 failed deliveries are kept, as long as events are (`RETENTION_EVENTS`). All pending ones are kept; the 2,000 that were tried last are listed.',
      tags,
      params: webhookParams,
      querystring: listQuery,
      response: { 200: deliveryPage, ...problemAnswers(400, 404, 422) },
      'x-examples': missingWebhook,
    },
    handler: async ({ params: { id }, query }) => {
      await findWebhook(deps.webhooks, id);
      const { event_type: eventType, event_id: eventId, ...rest } = query;
      const event = eventId === undefined ? undefined : { id: eventId, place: await deps.events.find(eventId) };
      const { page, hasMore } = await deps.deliveries.page(id, { ...rest, eventType, event });
      return { object: 'list' as const, has_more: hasMore, data: page.map(deliveryViewOf) };
    },
  });
}

function addReading(app: App, deps: Deps): void {
  app.route({
    method: 'GET',
    url: '/webhooks/:id/deliveries/:delivery_id',
    config,
    schema: {
      operationId: 'getWebhookDelivery',
      summary: 'Get a delivery',
      description: 'The request that was sent, and for each try the time, the answer and the duration.',
      tags,
      params,
      response: { 200: deliveryDetail, ...problemAnswers(400, 404) },
      'x-examples': missingDelivery,
    },
    handler: async ({ params: { id, delivery_id } }) => {
      const webhook = await findWebhook(deps.webhooks, id);
      const delivery = await deps.deliveries.get(id, delivery_id);
      if (delivery === null) throw new ProblemError('not_found', `There is no delivery ${delivery_id} of that webhook`);
      const [answers, said] = await Promise.all([
        deps.deliveries.answers(id, delivery),
        deps.buildPayloads(delivery.parcel),
      ]);
      const headers = headersOf(webhook, delivery);
      const isWhole = said.length === placesIn(delivery.parcel).length;
      const body = isWhole ? bodyOf(said, isBatch(delivery.parcel)) : null;
      return {
        ...deliveryViewOf(delivery),
        request: headers && { headers, body },
        tries: triesOf(delivery, answers),
      };
    },
  });
}

const signatureNames: ReadonlySet<string> = new Set(signatureFamilies.map((family) => `${family}-signature`));

/** The headers of the last try, with secrets masked; null when there was no try. */
function headersOf(webhook: Webhook, { webhookId, tries }: Delivery): Record<string, string> | null {
  const at = tries.at(-1)?.at;
  if (webhookId === null || at === undefined) return null;
  const sent = requestHeaders(webhook, webhookId, '', { now: at, signedAt: at });
  const own = new Set(Object.keys(webhook.headers));
  const hidden = (name: string, value: string) => (own.has(name) ? '***' : signatureNames.has(name) ? 'v1,***' : value);
  return Object.fromEntries(Object.entries(sent).map(([name, value]) => [name, hidden(name, value)]));
}
