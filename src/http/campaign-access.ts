/** Which campaigns a key may see and change. */
import { z } from 'zod';
import { domainOf } from '../domain/address.ts';
import { type ApiKey, permits } from '../domain/api-key.ts';
import type { Campaign, CampaignHead, CampaignStatus } from '../domain/campaign.ts';
import { campaignIdForm } from '../domain/id.ts';
import type { Campaigns } from '../store/campaigns.ts';
import { forbidden, type Refusal } from './email-access.ts';
import { exampleCampaign } from './openapi/campaign-examples.ts';
import { ProblemError } from './problems.ts';

export const campaignParams = z.object({
  id: z.string().meta({ description: 'The id of the campaign, `cm_…`.', examples: [exampleCampaign.id] }),
});

/** A key sees the campaigns whose emails it could send. */
export function maySee(key: ApiKey, { from }: Pick<CampaignHead, 'from'>): boolean {
  return permits(key, { domain: domainOf(from.address), lane: 'bulk' });
}

/** The campaign, when it exists and this key may see it. @throws ProblemError 404 */
export async function findCampaign(campaigns: Pick<Campaigns, 'get'>, id: string, key: ApiKey): Promise<Campaign> {
  const campaign = campaignIdForm.test(id) ? await campaigns.get(id) : null;
  if (campaign === null || !maySee(key, campaign.head)) throw campaignMissing(id);
  return campaign;
}

export function campaignMissing(id: string): ProblemError {
  return new ProblemError('not_found', `There is no campaign ${id}`);
}

/** @param what the campaign cannot be, and why: `paused: only a running one can be` */
export function campaignConflict(id: string, what: string, status: CampaignStatus): ProblemError {
  const detail = `Campaign ${id} cannot be ${what}. Its status is ${status}.`;
  return new ProblemError('conflict', detail, { more: { campaign_status: status } });
}

/** What this key may not do of what was requested; null when all of it is allowed. */
export function refusalOfCampaign(key: ApiKey, head: Pick<CampaignHead, 'from'>): Refusal | null {
  if (maySee(key, head)) return null;
  const domain = domainOf(head.from.address);
  if (!permits({ ...key, lanes: null }, { domain, lane: 'bulk' }))
    return forbidden('invalid_from_address', '/from', `this key may not send from ${domain}`);
  return forbidden('restricted_api_key', '', 'this key may not use the lane bulk, in which campaigns go');
}
