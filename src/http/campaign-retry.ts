/** POST /v1/campaigns/:id/retry-failed: once for each Idempotency-Key. */
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import type { IdempotencyClaim } from '../domain/idempotency.ts';
import type { Retried } from '../pipeline/retry-failed.ts';
import { objectField } from './answer-fields.ts';
import { campaignConflict, campaignMissing, campaignParams, findCampaign } from './campaign-access.ts';
import type { CampaignMoveDeps } from './campaign-moving.ts';
import { beginOnce, creationHeaders, finish } from './creations.ts';
import { readClaim } from './idempotency.ts';
import { campaignExamples } from './openapi/campaign-examples.ts';
import { problemAnswers } from './problems.ts';
import type { Routes } from './server.ts';

type Deps = Pick<CampaignMoveDeps, 'campaigns' | 'creations' | 'newId' | 'now'> & {
  retryFailed(id: string, changeId?: string): Promise<Retried>;
};

const retriedView = z
  .object({
    object: objectField('campaign'),
    id: z.string().meta({ description: 'The campaign.' }),
    retried: z.int().meta({ description: 'How many recipients are sent to again.' }),
  })
  .meta({
    description: 'The recipients are queued again.',
    examples: [{ object: 'campaign', id: 'cm_01kb2m7x4p6q8s0t2v4w000000', retried: 12 }],
  });

export function campaignRetryRoutes({ campaigns, retryFailed, creations, newId, now }: Deps): Routes {
  /** Retries that run in this process, by the scope of their claim. */
  const running = new Map<string, Promise<number>>();

  /**
   * @returns how many recipients are sent to again
   * @throws ProblemError 404, or 409 with the current status
   */
  async function retry(id: string, changeId?: string): Promise<number> {
    const retried = await retryFailed(id, changeId);
    if (retried.kind === 'gone') throw campaignMissing(id);
    if (retried.kind === 'refused') throw campaignConflict(id, 'retried: it is not being sent', retried.status);
    return retried.count;
  }

  /**
   * Once for each key: a repeat in this process waits for the first request and gets its answer. When another process runs the first one, or
   * died during it, the repeat does what is left and counts what was done.
   */
  async function retryOnce(id: string, claim: IdempotencyClaim, reply: FastifyReply): Promise<number> {
    const creation = await beginOnce(creations, claim, { id: newId('ch'), now: now() }, reply);
    if (creation.isDone) return Number(creation.note);
    const begun = running.get(claim.scope);
    if (begun !== undefined) return begun;
    const retrying = retry(id, creation.id).finally(() => running.delete(claim.scope));
    running.set(claim.scope, retrying);
    const { answer } = await finish(creations, claim, creation, async () => String(await retrying));
    return Number(answer);
  }

  return (app) => {
    app.route({
      method: 'POST',
      url: '/campaigns/:id/retry-failed',
      config: { scope: 'send', sheds: ['bulk'] },
      schema: {
        operationId: 'retryFailedOfCampaign',
        summary: 'Send again to failed recipients',
        description: [
          'Sends again to recipients that failed, expired, or are held because the outcome is unknown. Each becomes an email of its own.',
          'Bounced recipients are left alone: they were permanently refused. So are recipients whose email could not be made from the template and their variables, because it would fail again.',
          'With an `Idempotency-Key`, a repeat does not send to recipients that failed again since. Takes no body.',
        ].join('\n\n'),
        tags: ['campaigns'],
        headers: creationHeaders,
        params: campaignParams,
        response: { 200: retriedView, ...problemAnswers(400, 404, 409, 413, 415, 422) },
        'x-examples': { 404: campaignExamples.missing, 409: campaignExamples.notRunning },
      },
      handler: async ({ params: { id }, headers, apiKey }, reply) => {
        await findCampaign(campaigns, id, apiKey);
        const claim = readClaim(headers['idempotency-key'], {
          keyId: apiKey.id,
          route: 'POST /campaigns/:id/retry-failed',
          body: { id },
        });
        const retried = claim === null ? await retry(id) : await retryOnce(id, claim, reply);
        return { object: 'campaign' as const, id, retried };
      },
    });
  };
}
