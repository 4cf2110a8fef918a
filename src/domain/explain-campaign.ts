/** Explains why an email still waits at its place in a campaign, and when it goes. Pure. */
import { type Campaign, roundedPace } from './campaign.ts';
import { isoOf } from './iso-time.ts';

export const campaignReasons = [
  'campaign_running',
  'campaign_paused',
  'campaign_scheduled',
  'campaign_canceled',
] as const;

export type CampaignReason = (typeof campaignReasons)[number];

type CampaignWhy = {
  readonly reason: CampaignReason;
  readonly summary: string;
  /** Milliseconds since the epoch; null when it is unknown, or as soon as possible. */
  readonly movesAt: number | null;
};

export function explainCampaign({ head, state }: Campaign): CampaignWhy {
  const { status, scheduledAt, counts, pace } = state;
  const name = `its campaign ${JSON.stringify(head.name)}`;
  switch (status) {
    case 'paused': {
      const summary = `It waits because ${name} is paused. POST /v1/campaigns/${head.id}/resume resumes the campaign.`;
      return { reason: 'campaign_paused', summary, movesAt: null };
    }
    case 'canceled':
      return { reason: 'campaign_canceled', summary: `It will not be sent: ${name} was canceled.`, movesAt: null };
    case 'draft':
    case 'scheduled': {
      const summary = `It waits for the start of ${name}${scheduledAt === null ? '' : `, ${isoOf(scheduledAt)}`}.`;
      return { reason: 'campaign_scheduled', summary, movesAt: scheduledAt };
    }
    case 'running':
    case 'completed': {
      const speed =
        pace === null || pace <= 0
          ? ''
          : ` At ${roundedPace(pace)} a second that takes ${Math.ceil(counts.pending / pace)} s at most.`;
      const summary = `It waits for its turn in ${name}: ${counts.pending} of its ${counts.recipients} recipients are pending.${speed} If this lasts, check that a worker is running, and the state of its transports (GET /v1/transports).`;
      return { reason: 'campaign_running', summary, movesAt: null };
    }
  }
}
