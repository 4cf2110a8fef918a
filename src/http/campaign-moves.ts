/** POST /v1/campaigns/:id/send, …/pause, …/resume and …/cancel: changes of a campaign's status. */
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { type ApiKey, mayRead } from '../domain/api-key.ts';
import type { Campaign, CampaignMove, CampaignStatus } from '../domain/campaign.ts';
import { type CampaignLimits, sendRequestFor } from '../domain/campaign-request.ts';
import { linkPlace, sourceLacksLink } from '../domain/unsubscribe-link.ts';
import type { Campaigns } from '../store/campaigns.ts';
import type { Creations } from '../store/creations.ts';
import type { IdempotencyClaim } from '../store/email-create.ts';
import { campaignConflict, campaignMissing, campaignParams, findCampaign } from './campaign-access.ts';
import { campaignMoveAnswer, standingOf, summaryOf } from './campaign-view.ts';
import { beginOnce, creationHeaders } from './creations.ts';
import { idempotencyHeader, readClaim } from './email-access.ts';
import { campaignExamples } from './openapi/campaign-examples.ts';
import { ProblemError, problemAnswers } from './problems.ts';
import type { Routes } from './server.ts';

export type CampaignMoveDeps = {
  campaigns: Pick<Campaigns, 'get' | 'content' | 'move'>;
  limits: Pick<CampaignLimits, 'canUnsubscribe' | 'now'>;
  creations: Pick<Creations, 'begin' | 'end' | 'giveUp'>;
  /** Called when a campaign starts to send, or is canceled before it started. */
  reportCampaign(begun: {
    readonly campaignId: string;
    readonly status: CampaignStatus;
    readonly recipients: number;
  }): void;
  newId(prefix: 'ch'): string;
  now(): number;
};

type Answer = z.input<typeof campaignMoveAnswer>;
type Asked = { readonly move: CampaignMove; readonly at?: number | null; readonly changeId?: string };

const tags = ['campaigns'];
const config = { scope: 'send' } as const;
const answers = { 200: campaignMoveAnswer, ...problemAnswers(400, 404, 409, 413, 415) };

/** For each move: what a campaign with the wrong status cannot be. */
const refusals = {
  start: 'sent: only a draft or a scheduled one can be',
  schedule: 'scheduled: only a draft or a scheduled one can be',
  pause: 'paused: only a running one can be',
  resume: 'resumed: only a paused one can be',
  cancel: 'canceled: it is over',
} as const satisfies Record<CampaignMove, string>;

const moveHeaders = z.looseObject({
  'idempotency-key': idempotencyHeader.meta({
    description:
      'A name for this request, of up to 256 printable ASCII characters, quoted or not. A repeat changes nothing and returns the current status, as long as fewer than eight other moves (send, pause, resume, cancel) came after it.',
    examples: ['pause-1234'],
  }),
});

const needsUrl = 'set PUBLIC_URL to where this API is reached by https, or put a link of your own in its place';

export function campaignMoveRoutes({
  campaigns,
  limits,
  creations,
  reportCampaign,
  newId,
  now,
}: CampaignMoveDeps): Routes {
  /** @throws ProblemError 404, or 409 with the current status */
  async function ask(
    id: string,
    key: ApiKey,
    { move, at = null, changeId = newId('ch') }: Asked,
    reply: FastifyReply,
  ): Promise<Answer> {
    if (move === 'start' || move === 'schedule') await checkLink(id);
    const moved = await campaigns.move(id, { move, changeId, now: now(), at });
    if (moved.kind === 'gone') throw campaignMissing(id);
    if (moved.kind === 'refused') throw campaignConflict(id, refusals[move], moved.status);
    if (moved.kind === 'empty') throw campaignConflict(id, 'sent: it has no recipients', moved.status);
    if (moved.kind === 'repeated') reply.header('idempotent-replayed', 'true');
    const campaign = await findCampaign(campaigns, id, key);
    const { startedAt, counts } = campaign.state;
    if (moved.kind === 'moved' && (move === 'start' || (move === 'cancel' && startedAt === null)))
      reportCampaign({ campaignId: id, status: moved.status, recipients: counts.recipients });
    return lookAt(campaign, key);
  }

  function lookAt(campaign: Campaign, key: ApiKey): Answer {
    return mayRead(key) ? summaryOf(campaign, now()) : standingOf(campaign);
  }

  function beginning({ state }: Campaign, asked: number | null | undefined): Asked {
    const at = asked === undefined ? state.scheduledAt : asked;
    return at !== null && at > now() ? { move: 'schedule', at } : { move: 'start' };
  }

  /** Once for each key: a repeat does not send again what was sent or moved since, and gets the current status. */
  async function sendOnce(
    campaign: Campaign,
    key: ApiKey,
    asked: Asked,
    { claim, reply }: { claim: IdempotencyClaim; reply: FastifyReply },
  ): Promise<Answer> {
    const creation = await beginOnce(creations, claim, { id: newId('ch'), now: now() }, reply);
    const { id: changeId, isRepeat, isDone } = creation;
    if (isDone) return lookAt(campaign, key);
    try {
      const answer = await ask(campaign.head.id, key, { ...asked, changeId }, reply);
      await creations.end(claim, creation);
      return answer;
    } catch (error) {
      if (error instanceof ProblemError && !isRepeat) await creations.giveUp(claim, creation);
      throw error;
    }
  }

  /** @throws ProblemError 422 when the letters have a place for an unsubscribe link, and no link can be made */
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
      config: { ...config, sheds: ['bulk'] },
      schema: {
        operationId: 'sendCampaign',
        summary: 'Send a campaign',
        description: [
          'Starts the campaign now, or at its `scheduled_at`. Recipients can be added until it has started.',
          'To give a scheduled campaign another time, send it again. A `scheduled_at` in the past means now.',
          'Refused (422) if the content has `{{ unsubscribe_url }}` and no link can be made because PUBLIC_URL is not set.',
          'A repeat under the same `Idempotency-Key` changes nothing and returns the current status.',
        ].join('\n\n'),
        tags,
        headers: creationHeaders,
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
      /** The Idempotency-Key belongs to the body as sent. */
      preValidation: async (request) => {
        request.given = request.body;
      },
      handler: async ({ params: { id }, headers, body, given, apiKey }, reply) => {
        const campaign = await findCampaign(campaigns, id, apiKey);
        const asked = beginning(campaign, body?.scheduled_at);
        const what = { id, given: given ?? null };
        const claim = readClaim(headers['idempotency-key'], apiKey.id, 'POST /campaigns/:id/send', what);
        return claim === null ? ask(id, apiKey, asked, reply) : sendOnce(campaign, apiKey, asked, { claim, reply });
      },
    });

    const moves = [
      {
        move: 'pause',
        operationId: 'pauseCampaign',
        summary: 'Pause a campaign',
        description: 'Stops sending within a second, until the campaign is resumed.',
        examples: { 200: campaignExamples.paused, 409: campaignExamples.notRunning },
      },
      {
        move: 'resume',
        operationId: 'resumeCampaign',
        summary: 'Resume a campaign',
        description: 'Continues sending where the campaign was paused.',
        examples: { 200: campaignExamples.resumed, 409: campaignExamples.notPaused },
      },
      {
        move: 'cancel',
        operationId: 'cancelCampaign',
        summary: 'Cancel a campaign',
        description:
          'Final: it cannot be resumed. Recipients not sent to yet, or held (`outcome_unknown`), get nothing more and end as `canceled`, one after the other.',
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
          headers: moveHeaders,
          params: campaignParams,
          response: answers,
          'x-examples': { ...examples, 404: campaignExamples.missing },
        },
        handler: async ({ params: { id }, headers, apiKey }, reply) => {
          await findCampaign(campaigns, id, apiKey);
          const claim = readClaim(headers['idempotency-key'], apiKey.id, `POST /campaigns/${id}/${move}`, null);
          return ask(id, apiKey, claim === null ? { move } : { move, changeId: changeIdOf(claim) }, reply);
        },
      });
  };
}

/** The campaign itself stores this id, in a step that also a full Redis accepts: a full Redis could not store the key. */
function changeIdOf({ scope }: IdempotencyClaim): string {
  return `ch_${scope.slice(0, changeIdChars)}`;
}

/** As many as follow the prefix of any other id. */
const changeIdChars = 26;
