/** /v1/webhooks: endpoints that are told of events. */
import { z } from 'zod';
import { eventTypes } from '../domain/event.ts';
import { type Webhook, webhookRequest, webhookSecret } from '../domain/webhook.ts';
import type { Webhooks } from '../store/webhooks.ts';
import { deletedView, isoOf, objectField, time } from './answer-fields.ts';
import { type CreationDeps, createOnce, creationHeaders, type Made } from './creations.ts';
import { notFoundExamples } from './openapi/problem-examples.ts';
import { pageIn, pageOf, pageQuery } from './paging.ts';
import { ProblemError, problemAnswers } from './problems.ts';
import type { Routes } from './server.ts';

type Deps = CreationDeps<'wh'> & { webhooks: Pick<Webhooks, 'add' | 'get' | 'list' | 'remove'> };

const example = {
  object: 'webhook',
  id: 'wh_01kb2m8z5q7r9t1v3x5y7z9a1b',
  created_at: '2026-11-24T09:30:00.000Z',
  status: 'enabled',
  endpoint: 'https://app.example.com/hooks/mail',
  events: ['email.sent', 'email.bounced'],
};

const webhookView = z
  .object({
    object: objectField('webhook'),
    id: z.string().meta({ description: 'Its id, `wh_…`.' }),
    created_at: time.meta({ description: 'When it was added.' }),
    status: z.enum(['enabled', 'disabled']).meta({ description: 'Whether it is told of events.' }),
    endpoint: z.string().meta({ description: 'Where events are POSTed to.' }),
    events: z.array(z.enum(eventTypes)).meta({ description: 'The types of event it is told of.' }),
  })
  .meta({ id: 'Webhook', description: 'A webhook endpoint.', examples: [example] });

const createdWebhook = webhookView
  .extend({
    signing_secret: z
      .string()
      .meta({ description: 'Verifies the signature of each event, `whsec_…`. It is shown this once.' }),
  })
  .meta({
    id: 'CreatedWebhook',
    description: 'The endpoint was added. Store its signing secret now.',
    examples: [{ ...example, signing_secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=' }],
  });

const webhookList = pageOf(webhookView).meta({
  description: 'Webhook endpoints, newest first.',
  examples: [{ object: 'list', has_more: false, data: [example] }],
});

const deletedWebhook = deletedView('webhook').meta({
  description: 'The endpoint was removed.',
  examples: [{ object: 'webhook', id: example.id, deleted: true }],
});

const params = z.object({
  id: z.string().meta({ description: 'The id of the endpoint, `wh_…`.', examples: [example.id] }),
});
const missing = { 404: notFoundExamples(`There is no webhook ${example.id}`, `/v1/webhooks/${example.id}`) };
/** An endpoint is told of all mail. */
const config = { scope: 'manage', unrestricted: true } as const;

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
      config,
      schema: {
        operationId: 'createWebhook',
        summary: 'Add a webhook endpoint',
        description:
          'Events are POSTed to it as JSON, signed as Standard Webhooks says. An event that is not answered with 2xx is tried again, for three days by default. Store the signing secret: it is not shown again.',
        tags: ['webhooks'],
        headers: creationHeaders,
        body: webhookRequest,
        response: { 201: createdWebhook, ...problemAnswers(400, 413, 415, 422) },
      },
      handler: async (request, reply) => {
        const { endpoint, events } = request.body;
        const webhookOf = ({ id, createdAt, secret }: Made): Webhook => ({
          ...{ id, createdAt, endpoint, events },
          // Standard Webhooks asks for 24 to 64 bytes.
          secret: webhookSecret(secret),
        });
        const made = await createOnce(deps, 'wh', request, reply, (now) => deps.webhooks.add(webhookOf(now)));
        const webhook = webhookOf(made);
        return reply.status(201).send({ ...viewOf(webhook), signing_secret: webhook.secret });
      },
    });

    app.route({
      method: 'GET',
      url: '/webhooks',
      config,
      schema: {
        operationId: 'listWebhooks',
        summary: 'List webhook endpoints',
        description: 'Newest first. Signing secrets are not shown.',
        tags: ['webhooks'],
        querystring: pageQuery,
        response: { 200: webhookList, ...problemAnswers(422) },
      },
      handler: async ({ query }) => {
        const { page, hasMore } = pageIn(await deps.webhooks.list(), query);
        return { object: 'list' as const, has_more: hasMore, data: page.map(viewOf) };
      },
    });

    app.route({
      method: 'GET',
      url: '/webhooks/:id',
      config,
      schema: {
        operationId: 'getWebhook',
        summary: 'Look at a webhook endpoint',
        description: 'Where it is and what it is told of. The signing secret is not shown.',
        tags: ['webhooks'],
        params,
        response: { 200: webhookView, ...problemAnswers(400, 404) },
        'x-examples': missing,
      },
      handler: async (request) => viewOf(await find(request.params.id)),
    });

    app.route({
      method: 'DELETE',
      url: '/webhooks/:id',
      config,
      schema: {
        operationId: 'deleteWebhook',
        summary: 'Remove a webhook endpoint',
        description: 'Events that are still waiting for it are dropped.',
        tags: ['webhooks'],
        params,
        response: { 200: deletedWebhook, ...problemAnswers(400, 404, 413, 415) },
        'x-examples': missing,
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
    created_at: isoOf(webhook.createdAt),
    status: 'enabled',
    endpoint: webhook.endpoint,
    events: [...webhook.events],
  };
}
