/** /v1/webhooks: endpoints that receive events. */
import { idForm } from '../domain/id.ts';
import { makeWebhook, type Webhook, webhookRequest } from '../domain/webhook.ts';
import { webhookSecret } from '../domain/webhook-signature.ts';
import type { Posts } from '../store/posts.ts';
import type { Webhooks } from '../store/webhooks.ts';
import { type CreationDeps, createOnce, creationHeaders, type Made } from './creations.ts';
import { pageIn, pageQueryOf } from './paging.ts';
import { ProblemError, problemAnswers } from './problems.ts';
import type { Routes } from './server.ts';
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
/** An endpoint receives the events of all mail. */
export const webhookConfig = { scope: 'manage', unrestricted: true } as const;

/** @throws ProblemError 404 */
export async function findWebhook(webhooks: Pick<Webhooks, 'get'>, id: string): Promise<Webhook> {
  return (await webhooks.get(id)) ?? refuseWebhook(id);
}

export function refuseWebhook(id: string): never {
  throw new ProblemError('not_found', `There is no webhook ${id}`);
}

export function webhookRoutes(deps: Deps): Routes {
  async function viewOf(webhook: Webhook) {
    const [failingSince = null] = await deps.posts.failingSince([webhook.id]);
    return webhookViewOf(webhook, failingSince, deps.now());
  }

  return (app) => {
    app.route({
      method: 'POST',
      url: '/webhooks',
      config: webhookConfig,
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
        const made = await createOnce(deps, 'wh', request, reply, (given) =>
          deps.webhooks.add(webhookOf(given), given.mark),
        );
        const webhook = webhookOf(made);
        return reply.status(201).send({ ...webhookViewOf(webhook, null, deps.now()), signing_secret: webhook.secret });
      },
    });

    app.route({
      method: 'GET',
      url: '/webhooks',
      config: webhookConfig,
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

    app.route({
      method: 'GET',
      url: '/webhooks/:id',
      config: webhookConfig,
      schema: {
        operationId: 'getWebhook',
        summary: 'Get a webhook endpoint',
        description: 'The settings and health of the endpoint. The signing secret is not shown.',
        tags,
        params: webhookParams,
        response: { 200: webhookView, ...problemAnswers(400, 404) },
        'x-examples': missingWebhook,
      },
      handler: async ({ params }) => viewOf(await findWebhook(deps.webhooks, params.id)),
    });

    app.route({
      method: 'DELETE',
      url: '/webhooks/:id',
      config: webhookConfig,
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
        if (!(await deps.webhooks.remove(id))) refuseWebhook(id);
        return { object: 'webhook' as const, id, deleted: true as const };
      },
    });
  };
}
