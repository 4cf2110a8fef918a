/** /v1/webhooks: endpoints that receive events. */
import { idForm } from '../domain/id.ts';
import { makeWebhook, type Webhook, webhookRequest } from '../domain/webhook.ts';
import { webhookSecret } from '../domain/webhook-signature.ts';
import type { Posts } from '../store/posts.ts';
import type { Webhooks } from '../store/webhooks.ts';
import { type CreationDeps, createOnce, creationHeaders, type Made } from './creations.ts';
import { pageIn, pageQueryOf } from './paging.ts';
import { problemAnswers } from './problems.ts';
import type { App, Routes } from './server.ts';
import { webhookConfig as config, findWebhook, webhookMissing } from './webhook-access.ts';
import {
  createdWebhook,
  deletedWebhook,
  missingWebhook,
  webhookList,
  webhookParams,
  webhookView,
  webhookViewOf,
} from './webhook-schemas.ts';

type Deps = CreationDeps<'wh'> & {
  webhooks: Pick<Webhooks, 'add' | 'get' | 'all' | 'remove'>;
  posts: Pick<Posts, 'failingSince'>;
};

const tags = ['webhooks'];

export function webhookRoutes(deps: Deps): Routes {
  return (app) => {
    addCreation(app, deps);
    addList(app, deps);
    addReading(app, deps);
    addRemoval(app, deps);
  };
}

function addCreation(app: App, deps: Deps): void {
  app.route({
    method: 'POST',
    url: '/webhooks',
    config,
    schema: {
      operationId: 'createWebhook',
      summary: 'Add a webhook endpoint',
      description:
        'Events are POSTed to the endpoint as JSON, signed according to Standard Webhooks. An event that is not answered with 2xx is tried again, by default for three days. Store the signing secret: it is not shown again.',
      tags,
      headers: creationHeaders,
      body: webhookRequest,
      response: { 201: createdWebhook, ...problemAnswers(400, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      const webhookOf = ({ id, createdAt, secret }: Made): Webhook =>
        makeWebhook(request.body, { id, createdAt, secret: webhookSecret(secret) });
      const made = await createOnce(deps, 'wh', { request, reply }, (given) =>
        deps.webhooks.add(webhookOf(given), given.mark),
      );
      const webhook = webhookOf(made);
      return reply.status(201).send({ ...webhookViewOf(webhook, null, deps.now()), signing_secret: webhook.secret });
    },
  });
}

function addList(app: App, deps: Deps): void {
  app.route({
    method: 'GET',
    url: '/webhooks',
    config,
    schema: {
      operationId: 'listWebhooks',
      summary: 'List webhook endpoints',
      description: 'Newest first. Signing secrets are not shown.',
      tags,
      querystring: pageQueryOf(idForm('wh'), 'a webhook'),
      response: { 200: webhookList, ...problemAnswers(422) },
    },
    handler: async ({ query }) => {
      const { page, hasMore } = pageIn(await deps.webhooks.all(), query);
      const failingSince = await deps.posts.failingSince(page.map(({ id }) => id));
      const data = page.map((webhook, index) => webhookViewOf(webhook, failingSince[index] ?? null, deps.now()));
      return { object: 'list' as const, has_more: hasMore, data };
    },
  });
}

function addReading(app: App, deps: Deps): void {
  app.route({
    method: 'GET',
    url: '/webhooks/:id',
    config,
    schema: {
      operationId: 'getWebhook',
      summary: 'Get a webhook endpoint',
      description: 'The settings and health of the endpoint. The signing secret is not shown.',
      tags,
      params: webhookParams,
      response: { 200: webhookView, ...problemAnswers(400, 404) },
      'x-examples': missingWebhook,
    },
    handler: async ({ params }) => {
      const webhook = await findWebhook(deps.webhooks, params.id);
      const [failingSince = null] = await deps.posts.failingSince([webhook.id]);
      return webhookViewOf(webhook, failingSince, deps.now());
    },
  });
}

function addRemoval(app: App, deps: Deps): void {
  app.route({
    method: 'DELETE',
    url: '/webhooks/:id',
    config,
    schema: {
      operationId: 'deleteWebhook',
      summary: 'Delete a webhook endpoint',
      description: 'Deletes the endpoint. Events still waiting for it are dropped.',
      tags,
      params: webhookParams,
      response: { 200: deletedWebhook, ...problemAnswers(400, 404, 413, 415) },
      'x-examples': missingWebhook,
    },
    handler: async ({ params: { id } }) => {
      if (!(await deps.webhooks.remove(id))) throw webhookMissing(id);
      return { object: 'webhook' as const, id, deleted: true as const };
    },
  });
}
