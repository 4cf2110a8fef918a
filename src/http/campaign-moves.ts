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
import { creationHeaders } from './creations.ts';
import { idempotencyHeader, keyReused, readClaim } from './email-access.ts';
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
      'A name for this request, of up to 256 printable ASCII characters, quoted or not. A repeat moves nothing again, whatever moved the campaign since, and is answered where it stands by then: as long as there were fewer than eight moves.',
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
    const creation = await creations.begin(claim, { id: newId('ch'), now: now() });
    if (creation === null) throw keyReused();
    const { id: changeId, isRepeat, isDone } = creation;
    if (isRepeat) reply.header('idempotent-replayed', 'true');
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
        description:
          'It begins at once, or at its `scheduled_at`. Once it has begun nobody can be added to it; until then it takes recipients as a draft does. A scheduled one is sent again to give it another time; a `scheduled_at` that has passed means now. Refused where its letters have `{{ unsubscribe_url }}` and no link can be made, as PUBLIC_URL is not set. A repeat under the same `Idempotency-Key` is answered where it stands now.',
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
