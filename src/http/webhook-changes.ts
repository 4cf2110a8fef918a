/** PATCH /v1/webhooks/:id, …/rotate-secret and …/test: what may be done with an endpoint that is there. */

import { isoOf } from '../domain/iso-time.ts';
import { isSuccess } from '../domain/post.ts';
import { changedWebhook, type Webhook, webhookChanges } from '../domain/webhook.ts';
import { rotated, webhookSecret } from '../domain/webhook-signature.ts';
import type { WebhookTest } from '../pipeline/test-webhook.ts';
import type { Posts } from '../store/posts.ts';
import type { Webhooks } from '../store/webhooks.ts';
import { type CreationDeps, createOnce, creationHeaders, type Made } from './creations.ts';
import { refuseOtherIds } from './path-id.ts';
import { ProblemError, problemAnswers } from './problems.ts';
import type { App, Routes } from './server.ts';
import { webhookConfig as config, findWebhook, webhookMissing } from './webhook-access.ts';
import {
  changedWebhookView,
  missingWebhook,
  rotatedSecret,
  testResult,
  webhookParams,
  webhookViewOf,
} from './webhook-schemas.ts';

type Deps = CreationDeps<'wh'> & {
  webhooks: Pick<Webhooks, 'get' | 'change'>;
  posts: Pick<Posts, 'failingSince' | 'drop' | 'renew' | 'forgetBatchLimit'>;
  testWebhook(webhook: Webhook): Promise<WebhookTest>;
};

const tags = ['webhooks'];

/** Our own path, and the one that the Resend SDKs call. */
const rotations = [
  { url: '/webhooks/:id/rotate-secret', operationId: 'rotateWebhookSecret', summary: 'Rotate the signing secret' },
  {
    url: '/webhooks/:id/signing-secret/rotate',
    operationId: 'rotateWebhookSigningSecret',
    summary: 'Rotate the signing secret, by the path of the Resend SDKs',
  },
] as const;

export function webhookChangeRoutes(deps: Deps): Routes {
  return (app) => {
    addChange(app, deps);
    addRotations(app, deps);
    addTest(app, deps);
  };
}

function addChange(app: App, deps: Deps): void {
  app.route({
    method: 'PATCH',
    url: '/webhooks/:id',
    config,
    schema: {
      operationId: 'updateWebhook',
      summary: 'Change a webhook endpoint',
      description: [
        'Changes the URL, the events, the status or other settings.',
        'Enabling an endpoint again does not send the events it missed: use a replay for that. After a change of the URL, events waiting for the endpoint are sent to the new URL at once.',
      ].join('\n\n'),
      tags,
      params: webhookParams,
      body: webhookChanges,
      response: { 200: changedWebhookView, ...problemAnswers(400, 404, 413, 415, 422) },
      'x-examples': missingWebhook,
    },
    handler: async ({ params: { id }, body }) => {
      refuseOtherIds(id, { webhook_id: body.webhook_id });
      // Removes what is left from an earlier time before the endpoint is enabled: events that arrive after that must stay.
      if (body.status === 'enabled') await deps.posts.drop(id);
      const before: Webhook[] = [];
      const webhook = await deps.webhooks.change(id, (was) => {
        before.push(was);
        return { webhook: changedWebhook(was, body) ?? tooMany() };
      });
      if (webhook === null) throw webhookMissing(id);
      const was = before.at(-1);
      // A disabled endpoint waits for nothing. After a move its old failures say nothing about the new URL.
      if (webhook.status === 'disabled') await deps.posts.drop(id);
      else if (webhook.endpoint !== was?.endpoint) await deps.posts.renew(id, deps.now());
      if (body.batch !== undefined) await deps.posts.forgetBatchLimit(id);
      const [failingSince = null] = await deps.posts.failingSince([id]);
      return webhookViewOf(webhook, failingSince, deps.now());
    },
  });
}

function addRotations(app: App, deps: Deps): void {
  for (const { url, operationId, summary } of rotations)
    app.route({
      method: 'POST',
      url,
      config,
      schema: {
        operationId,
        summary,
        description: [
          'Creates a new secret, shown only once. For 24 hours every POST has two signatures, one by each secret, so that consumers can change one after the other. Rotating again within that time ends the older secret at once.',
          'With an `Idempotency-Key`, a repeat gets the same secret. Takes no body.',
        ].join('\n\n'),
        tags,
        headers: creationHeaders,
        params: webhookParams,
        response: { 200: rotatedSecret, ...problemAnswers(400, 404, 413, 415, 422) },
        'x-examples': missingWebhook,
      },
      handler: async (request, reply) => {
        const { id } = request.params;
        // An endpoint that does not exist claims no key.
        await findWebhook(deps.webhooks, id);
        const made = await createOnce(deps, 'wh', { request, reply, given: { id } }, (fresh) =>
          rotate(deps, id, fresh),
        );
        return {
          object: 'webhook' as const,
          id,
          signing_secret: webhookSecret(made.secret),
          previous_secret_until: isoOf(Number(made.note)),
        };
      },
    });
}

function addTest(app: App, deps: Deps): void {
  app.route({
    method: 'POST',
    url: '/webhooks/:id/test',
    config,
    schema: {
      operationId: 'testWebhook',
      summary: 'Test a webhook endpoint',
      description: [
        'POSTs a test event to the endpoint now, signed like any other, and returns its answer. The status is 200 even if the endpoint answered with an error.',
        'The test takes at most `WEBHOOK_TIMEOUT` (15 seconds), is not tried again, and changes nothing about the endpoint. Takes no body.',
      ].join('\n\n'),
      tags,
      params: webhookParams,
      response: { 200: testResult, ...problemAnswers(400, 404, 413, 415) },
      'x-examples': missingWebhook,
    },
    handler: async ({ params: { id } }) => {
      const { eventId, type, result } = await deps.testWebhook(await findWebhook(deps.webhooks, id));
      return {
        object: 'webhook_test' as const,
        id,
        event_id: eventId,
        type,
        ok: isSuccess(result.status),
        status: result.status === 0 ? null : result.status,
        detail: result.detail,
        ms: result.ms,
        body: result.body,
      };
    },
  });
}

/**
 * Rotates once, even if the secret was rotated again since.
 * @returns until when the previous secret signs, in milliseconds since the epoch
 */
async function rotate(deps: Deps, id: string, { secret: entropy, mark }: Made): Promise<string> {
  const secret = webhookSecret(entropy);
  const now = deps.now();
  const webhook = await deps.webhooks.change(id, (was) => {
    const turned = rotated(was, secret, now);
    const note = String(turned.previousSecret?.until ?? now);
    return { webhook: turned, once: mark && { mark, note } };
  });
  if (webhook === null) throw webhookMissing(id);
  return String(webhook.previousSecret?.until ?? now);
}

function tooMany(): never {
  const fault = { pointer: '/headers', code: 'too_big', message: 'would be more than 20 headers together' };
  throw ProblemError.of('validation_error', [fault]);
}
