/** POST /v1/campaigns/:id/retry-failed: once for each Idempotency-Key. */
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import type { IdempotencyClaim } from '../store/email-create.ts';
import { objectField } from './answer-fields.ts';
import { campaignConflict, campaignParams, findCampaign } from './campaign-access.ts';
import type { CampaignMoveDeps } from './campaign-moves.ts';
import { creationHeaders } from './creations.ts';
import { keyReused, readClaim } from './email-access.ts';
import { campaignExamples } from './openapi/campaign-examples.ts';
import { problemAnswers } from './problems.ts';
import type { Routes } from './server.ts';

type Deps = Pick<CampaignMoveDeps, 'campaigns' | 'creations' | 'newId' | 'now'> & {
  /** How many that failed are sent to again; null when it is not, or not any more, sent. */
  retryFailed(id: string): Promise<{ readonly count: number } | null>;
};

const retriedView = z
  .object({
    object: objectField('campaign'),
    id: z.string().meta({ description: 'The campaign.' }),
    retried: z.int().meta({ description: 'How many are sent to again.' }),
  })
  .meta({
    description: 'They are queued again.',
    examples: [{ object: 'campaign', id: 'cm_01kb2m7x4p6q8s0t2v4w000000', retried: 12 }],
  });

export function campaignRetryRoutes({ campaigns, retryFailed, creations, newId, now }: Deps): Routes {
  /** Those of this process that are under way, by what they were claimed for. */
  const walks = new Map<string, Promise<number | null>>();

  async function walk(id: string): Promise<number | null> {
    return (await retryFailed(id))?.count ?? null;
  }

  /** A repeat waits for the first, and gets its answer. Of one that another process has in hand, or died of, it does what is left. */
  async function walkOnce(id: string, claim: IdempotencyClaim, reply: FastifyReply): Promise<number | null> {
    const creation = await creations.begin(claim, { id: newId('ch'), now: now() });
    if (creation === null) throw keyReused();
    if (creation.isRepeat) reply.header('idempotent-replayed', 'true');
    if (creation.isDone) return Number(creation.note);
    const begun = walks.get(claim.scope);
    if (begun !== undefined) return begun;
    const walking = walk(id).finally(() => walks.delete(claim.scope));
    walks.set(claim.scope, walking);
    const count = await walking;
    if (count === null) await creations.giveUp(claim);
    else await creations.end(claim, creation, String(count));
    return count;
  }

  return (app) => {
    app.route({
      method: 'POST',
      url: '/campaigns/:id/retry-failed',
      config: { scope: 'send', sheds: true },
      schema: {
        operationId: 'retryFailedOfCampaign',
        summary: 'Send again to everybody who failed',
        description:
          'To all who failed or expired, or are held since nobody knows whether they have it. Who bounced is left alone: those were refused for good. So is who failed because no letter could be made of what the campaign knows of them, which would come to the same. Each is an email of its own from then on. With an `Idempotency-Key` a repeat sends to nobody who failed again since. Takes no body.',
        tags: ['campaigns'],
        headers: creationHeaders,
        params: campaignParams,
        response: { 200: retriedView, ...problemAnswers(400, 404, 409, 413, 415, 422) },
        'x-examples': { 404: campaignExamples.missing, 409: campaignExamples.notRunning },
      },
      handler: async ({ params: { id }, headers, apiKey }, reply) => {
        const { state } = await findCampaign(campaigns, id, apiKey);
        const claim = readClaim(headers['idempotency-key'], apiKey.id, 'POST /campaigns/:id/retry-failed', { id });
        const retried = claim === null ? await walk(id) : await walkOnce(id, claim, reply);
        if (retried === null) throw campaignConflict(id, 'retried: it is not being sent', state.status);
        return { object: 'campaign' as const, id, retried };
      },
    });
  };
}
