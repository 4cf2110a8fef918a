/** Moves a campaign to another status, and answers with the campaign as its key may see it. */
import type { FastifyReply } from 'fastify';
import type { z } from 'zod';
import { type ApiKey, mayRead } from '../domain/api-key.ts';
import type { Campaign, CampaignMove, CampaignStatus } from '../domain/campaign.ts';
import type { CampaignLimits } from '../domain/campaign-request.ts';
import type { IdempotencyClaim } from '../domain/idempotency.ts';
import { linkPlace, sourceLacksLink } from '../domain/unsubscribe-link.ts';
import type { Campaigns } from '../store/campaigns.ts';
import type { Creations } from '../store/creations.ts';
import { campaignConflict, campaignMissing, findCampaign } from './campaign-access.ts';
import { type campaignMoveAnswer, standingOf, summaryOf } from './campaign-view.ts';
import { beginOnce, finish } from './creations.ts';
import { ProblemError } from './problems.ts';

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

/** For each move: what a campaign with the wrong status cannot be. */
const refusals = {
  start: 'sent: only a draft or a scheduled one can be',
  schedule: 'scheduled: only a draft or a scheduled one can be',
  pause: 'paused: only a running one can be',
  resume: 'resumed: only a paused one can be',
  cancel: 'canceled: it is over',
} as const satisfies Record<CampaignMove, string>;

const needsUrl = 'set PUBLIC_URL to where this API is reached by https, or put a link of your own in its place';

export function makeCampaignMoves({ campaigns, limits, creations, reportCampaign, newId, now }: CampaignMoveDeps) {
  /** @throws ProblemError 404, or 409 with the current status */
  async function move(
    id: string,
    key: ApiKey,
    { move: what, at = null, changeId = newId('ch') }: Asked,
    reply: FastifyReply,
  ): Promise<Answer> {
    if (what === 'start' || what === 'schedule') await checkLink(id);
    const moved = await campaigns.move(id, { move: what, changeId, now: now(), at });
    if (moved.kind === 'gone') throw campaignMissing(id);
    if (moved.kind === 'refused') throw campaignConflict(id, refusals[what], moved.status);
    if (moved.kind === 'empty') throw campaignConflict(id, 'sent: it has no recipients', moved.status);
    if (moved.kind === 'repeated') reply.header('idempotent-replayed', 'true');
    const campaign = await findCampaign(campaigns, id, key);
    const { startedAt, counts } = campaign.state;
    if (moved.kind === 'moved' && (what === 'start' || (what === 'cancel' && startedAt === null)))
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
    if (creation.isDone) return lookAt(campaign, key);
    const moving = () => move(campaign.head.id, key, { ...asked, changeId: creation.id }, reply);
    return (await finish(creations, claim, creation, moving)).answer;
  }

  /** @throws ProblemError 422 when the letters have a place for an unsubscribe link, and no link can be made */
  async function checkLink(id: string): Promise<void> {
    if (limits.canUnsubscribe) return;
    const content = await campaigns.content(id);
    if (content !== null && sourceLacksLink(content, limits))
      throw new ProblemError('validation_error', `Campaign ${id} has ${linkPlace} in its letters: ${needsUrl}`);
  }

  return { beginning, move, sendOnce };
}

/** The campaign itself stores this id, in a step that also a full Redis accepts: a full Redis could not store the key. */
export function changeIdOf({ scope }: IdempotencyClaim): string {
  return `ch_${scope.slice(0, changeIdChars)}`;
}

/** As many as follow the prefix of any other id. */
const changeIdChars = 26;
