/** POST /v1/campaigns/:id/send, …/pause, …/resume and …/cancel: what moves a campaign. */
import type { z } from 'zod';
import { type ApiKey, mayRead } from '../domain/api-key.ts';
import type { CampaignMove } from '../domain/campaign.ts';
import { type CampaignLimits, sendRequestFor } from '../domain/campaign-request.ts';
import { linkPlace, sourceLacksLink } from '../domain/unsubscribe-link.ts';
import type { Campaigns } from '../store/campaigns.ts';
import { campaignConflict, campaignMissing, campaignParams, findCampaign } from './campaign-access.ts';
import { campaignMoveAnswer, standingOf, summaryOf } from './campaign-view.ts';
import { campaignExamples } from './openapi/campaign-examples.ts';
import { ProblemError, problemAnswers } from './problems.ts';
import type { Routes } from './server.ts';

export type CampaignMoveDeps = {
  campaigns: Pick<Campaigns, 'get' | 'content' | 'move'>;
  limits: Pick<CampaignLimits, 'canUnsubscribe' | 'now'>;
  newId(prefix: 'ch'): string;
  now(): number;
};

const tags = ['campaigns'];
const config = { scope: 'send' } as const;
const answers = { 200: campaignMoveAnswer, ...problemAnswers(400, 404, 409, 413, 415) };

/** What one cannot be that does not stand where it would have to. */
const refusals = {
  start: 'sent: only a draft or a scheduled one can be',
  schedule: 'scheduled: only a draft or a scheduled one can be',
  pause: 'paused: only a running one can be',
  resume: 'resumed: only a paused one can be',
  cancel: 'canceled: it is over',
} as const satisfies Record<CampaignMove, string>;

const needsUrl = 'set PUBLIC_URL to where this API is reached by https, or put a link of your own in its place';

export function campaignMoveRoutes({ campaigns, limits, newId, now }: CampaignMoveDeps): Routes {
  /** @throws ProblemError 404, or 409 with the present state */
  async function ask(
    id: string,
    key: ApiKey,
    move: CampaignMove,
    at: number | null = null,
  ): Promise<z.input<typeof campaignMoveAnswer>> {
    const moved = await campaigns.move(id, { move, changeId: newId('ch'), now: now(), at });
    if (moved.kind === 'gone') throw campaignMissing(id);
    if (moved.kind === 'refused') throw campaignConflict(id, refusals[move], moved.status);
    if (moved.kind === 'empty') throw campaignConflict(id, 'sent: it has no recipients', moved.status);
    const campaign = await findCampaign(campaigns, id, key);
    return mayRead(key) ? summaryOf(campaign, now()) : standingOf(campaign);
  }

  /** @throws ProblemError 422 when its letters have a place for a link that none of them would get */
  async function checkLink(id: string): Promise<void> {
    if (limits.canUnsubscribe) return;
    const content = await campaigns.content(id);
    if (content !== null && sourceLacksLink(content, limits))
      throw new ProblemError('validation_error', `Campaign ${id} has ${linkPlace} in its letters: ${needsUrl}`);
  }

  return (app) => {
    app.route({
      method: 'POST',
      url: '/campaigns/:id/send',
      config: { ...config, sheds: true },
      schema: {
        operationId: 'sendCampaign',
        summary: 'Send a campaign',
        description:
          'It begins at once, or at its `scheduled_at`. From then on nobody can be added to it. A scheduled one is sent again to give it another time. Refused where its letters have `{{ unsubscribe_url }}` and no link can be made, as PUBLIC_URL is not set.',
        tags,
        params: campaignParams,
        body: sendRequestFor(limits),
        response: { ...answers, ...problemAnswers(422) },
        'x-examples': {
          body: campaignExamples.sending,
          200: campaignExamples.sent,
          404: campaignExamples.missing,
          409: campaignExamples.tooLate,
        },
      },
      handler: async ({ params: { id }, body, apiKey }) => {
        const { state } = await findCampaign(campaigns, id, apiKey);
        await checkLink(id);
        const at = body?.scheduled_at === undefined ? state.scheduledAt : body.scheduled_at;
        return at !== null && at > now() ? ask(id, apiKey, 'schedule', at) : ask(id, apiKey, 'start');
      },
    });

    const moves = [
      {
        move: 'pause',
        operationId: 'pauseCampaign',
        summary: 'Pause a campaign',
        description: 'Within a second nothing more leaves, until it is resumed.',
        examples: { 200: campaignExamples.paused, 409: campaignExamples.notRunning },
      },
      {
        move: 'resume',
        operationId: 'resumeCampaign',
        summary: 'Let a campaign go on',
        description: 'It goes on where it was paused.',
        examples: { 200: campaignExamples.resumed, 409: campaignExamples.notPaused },
      },
      {
        move: 'cancel',
        operationId: 'cancelCampaign',
        summary: 'Cancel a campaign',
        description: 'For good: whoever was not sent to yet gets nothing, and ends as `canceled` one after the other.',
        examples: { 200: campaignExamples.canceled, 409: campaignExamples.over },
      },
    ] as const;
    for (const { move, operationId, summary, description, examples } of moves)
      app.route({
        method: 'POST',
        url: `/campaigns/:id/${move}`,
        config,
        schema: {
          ...{ operationId, summary, description: `${description} Takes no body.` },
          tags,
          params: campaignParams,
          response: answers,
          'x-examples': { ...examples, 404: campaignExamples.missing },
        },
        handler: async ({ params: { id }, apiKey }) => {
          await findCampaign(campaigns, id, apiKey);
          return ask(id, apiKey, move);
        },
      });
  };
}
