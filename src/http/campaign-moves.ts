/** POST /v1/campaigns/:id/send, …/pause, …/resume and …/cancel: changes of a campaign's status. */
import { z } from 'zod';
import { sendRequestFor } from '../domain/campaign-request.ts';
import { campaignParams, findCampaign } from './campaign-access.ts';
import { type CampaignMoveDeps, changeIdOf, makeCampaignMoves } from './campaign-moving.ts';
import { campaignMoveAnswer } from './campaign-view.ts';
import { creationHeaders } from './creations.ts';
import { idempotencyHeader, readClaim } from './idempotency.ts';
import { campaignExamples } from './openapi/campaign-examples.ts';
import { problemAnswers } from './problems.ts';
import type { App, Routes } from './server.ts';

const tags = ['campaigns'];
const config = { scope: 'send' } as const;
const answers = { 200: campaignMoveAnswer, ...problemAnswers(400, 404, 409, 413, 415) };

const moveHeaders = z.looseObject({
  'idempotency-key': idempotencyHeader.meta({
    description:
      'A name for this request, of up to 256 printable ASCII characters, quoted or not. A repeat within 24 hours changes nothing and returns the current status, as long as fewer than eight other moves (send, pause, resume, cancel) came after it.',
    examples: ['pause-1234'],
  }),
});

/** Moves that say nothing besides their name. */
const plainMoves = [
  {
    verb: 'pause',
    operationId: 'pauseCampaign',
    summary: 'Pause a campaign',
    description: 'Stops sending within a second, until the campaign is resumed.',
    examples: { 200: campaignExamples.paused, 409: campaignExamples.notRunning },
  },
  {
    verb: 'resume',
    operationId: 'resumeCampaign',
    summary: 'Resume a campaign',
    description: 'Continues sending where the campaign was paused.',
    examples: { 200: campaignExamples.resumed, 409: campaignExamples.notPaused },
  },
  {
    verb: 'cancel',
    operationId: 'cancelCampaign',
    summary: 'Cancel a campaign',
    description:
      'Final: it cannot be resumed. Recipients not sent to yet, or held (`outcome_unknown`), get nothing more and end as `canceled`, one after the other.',
    examples: { 200: campaignExamples.canceled, 409: campaignExamples.over },
  },
] as const;

type Moving = ReturnType<typeof makeCampaignMoves>;

export function campaignMoveRoutes(deps: CampaignMoveDeps): Routes {
  const moving = makeCampaignMoves(deps);
  return (app) => {
    addSending(app, deps, moving);
    for (const route of plainMoves) addMove(app, deps, moving, route);
  };
}

function addSending(app: App, { campaigns, limits }: CampaignMoveDeps, { beginning, move, sendOnce }: Moving): void {
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
      const claim = readClaim(headers['idempotency-key'], {
        keyId: apiKey.id,
        route: 'POST /campaigns/:id/send',
        body: what,
      });
      return claim === null ? move(id, apiKey, asked, reply) : sendOnce(campaign, apiKey, asked, { claim, reply });
    },
  });
}

function addMove(
  app: App,
  { campaigns }: Pick<CampaignMoveDeps, 'campaigns'>,
  { move }: Moving,
  { verb, operationId, summary, description, examples }: (typeof plainMoves)[number],
): void {
  app.route({
    method: 'POST',
    url: `/campaigns/:id/${verb}`,
    config,
    schema: {
      operationId,
      summary,
      description: `${description} Takes no body.`,
      tags,
      headers: moveHeaders,
      params: campaignParams,
      response: answers,
      'x-examples': { ...examples, 404: campaignExamples.missing },
    },
    handler: async ({ params: { id }, headers, apiKey }, reply) => {
      await findCampaign(campaigns, id, apiKey);
      const claim = readClaim(headers['idempotency-key'], {
        keyId: apiKey.id,
        route: `POST /campaigns/${id}/${verb}`,
        body: null,
      });
      return move(id, apiKey, claim === null ? { move: verb } : { move: verb, changeId: changeIdOf(claim) }, reply);
    },
  });
}
