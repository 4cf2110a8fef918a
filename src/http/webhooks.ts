/** /v1/webhooks: endpoints that are told of events. */
import { z } from 'zod';
import { emailEventTypes } from '../domain/event.ts';
import { type Webhook, webhookRequest, webhookSecret } from '../domain/webhook.ts';
import type { Webhooks } from '../store/webhooks.ts';
import { ProblemError, problemAnswers } from './problems.ts';
import type { Routes } from './server.ts';

type Deps = {
  webhooks: Pick<Webhooks, 'add' | 'get' | 'list' | 'remove'>;
  newId(prefix: 'wh'): string;
  /** Bytes nobody can guess. */
  entropy(bytes: number): Uint8Array;
  now(): number;
};

/** Standard Webhooks asks for 24 to 64 bytes. */
const secretBytes = 32;

const webhookView = z
  .object({
    object: z.literal('webhook'),
    id: z.string(),
    created_at: z.iso.datetime(),
    status: z.enum(['enabled', 'disabled']),
    endpoint: z.string(),
    events: z.array(z.enum(emailEventTypes)),
  })
  .meta({ id: 'Webhook' });

const createdWebhook = webhookView
  .extend({ signing_secret: z.string().meta({ description: '`whsec_…`; shown this once.' }) })
  .meta({ id: 'CreatedWebhook' });

const params = z.object({ id: z.string() });

export function webhookRoutes(deps: Deps): Routes {
  async function find(id: string): Promise<Webhook> {
    const webhook = await deps.webhooks.get(id);
    if (webhook === null) throw new ProblemError('not_found', `There is no webhook ${id}`);
    return webhook;
  }

  return (app) => {
    app.route({
      method: 'POST',
      url: '/webhooks',
      schema: {
        summary: 'Add a webhook endpoint',
        description:
          'Events are POSTed to it, signed as Standard Webhooks says. Store the signing secret: it is not shown again.',
        tags: ['webhooks'],
        body: webhookRequest,
        response: {
          201: createdWebhook,
          ...problemAnswers(400, 401, 413, 415, 422, 503),
        },
      },
      handler: async (request, reply) => {
        const webhook: Webhook = {
          id: deps.newId('wh'),
          createdAt: deps.now(),
          endpoint: request.body.endpoint,
          events: request.body.events,
          secret: webhookSecret(deps.entropy(secretBytes)),
        };
        await deps.webhooks.add(webhook);
        return reply.status(201).send({ ...viewOf(webhook), signing_secret: webhook.secret });
      },
    });

    app.route({
      method: 'GET',
      url: '/webhooks',
      schema: {
        summary: 'List webhook endpoints',
        tags: ['webhooks'],
        response: {
          200: z.object({ object: z.literal('list'), has_more: z.boolean(), data: z.array(webhookView) }),
          ...problemAnswers(401, 503),
        },
      },
      handler: async () => ({
        object: 'list' as const,
        has_more: false,
        data: (await deps.webhooks.list()).map(viewOf),
      }),
    });

    app.route({
      method: 'GET',
      url: '/webhooks/:id',
      schema: {
        summary: 'Look at a webhook endpoint',
        tags: ['webhooks'],
        params,
        response: { 200: webhookView, ...problemAnswers(401, 404, 503) },
      },
      handler: async (request) => viewOf(await find(request.params.id)),
    });

    app.route({
      method: 'DELETE',
      url: '/webhooks/:id',
      schema: {
        summary: 'Remove a webhook endpoint',
        description: 'Events that are still waiting for it are dropped.',
        tags: ['webhooks'],
        params,
        response: {
          200: z.object({ object: z.literal('webhook'), id: z.string(), deleted: z.literal(true) }),
          ...problemAnswers(401, 404, 503),
        },
      },
      handler: async (request) => {
        const { id } = request.params;
        if (!(await deps.webhooks.remove(id))) throw new ProblemError('not_found', `There is no webhook ${id}`);
        return { object: 'webhook' as const, id, deleted: true as const };
      },
    });
  };
}

function viewOf(webhook: Omit<Webhook, 'secret'>): z.input<typeof webhookView> {
  return {
    object: 'webhook',
    id: webhook.id,
    created_at: new Date(webhook.createdAt).toISOString(),
    status: 'enabled',
    endpoint: webhook.endpoint,
    events: [...webhook.events],
  };
}
