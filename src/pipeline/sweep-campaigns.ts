/** sweep-campaigns: removes, a piece at a time, the address sets of campaigns that take no more recipients, and campaigns past retention. */
import { takesRecipients } from '../domain/campaign.ts';
import type { CampaignKeep, CampaignRetention } from '../store/campaign-retention.ts';

type Deps = {
  retention: CampaignRetention;
  /** How long a campaign is kept once it has ended, in milliseconds. */
  keepMs: number;
  round: Round;
  report(forgotten: { campaigns: number }): void;
  onTrouble(part: string, error: unknown, fields?: { readonly campaign: string }): void;
  now(): number;
};

export type Round = {
  /** How far this worker has come on its present way through all campaigns; null before the first. */
  after: string | null;
  /** Campaigns that it has reported as lost. */
  readonly told: Set<string>;
};

/** Beyond this number a campaign is reported again. Usually there are none. */
const maxTold = 1_000;

export function makeRound(): Round {
  return { after: null, told: new Set() };
}

/**
 * Looks at one page of campaigns, and at the next page the next time, so that the cost for Redis does not grow with their number. A campaign
 * that cannot be removed now holds up no other.
 */
export async function sweepCampaigns(deps: Deps, stop: AbortSignal): Promise<void> {
  const { retention, keepMs, round, report, onTrouble, now } = deps;
  const endedBefore = now() - keepMs;
  const { page, hasMore } = await retention.page(round.after);
  let campaigns = 0;
  for (const campaign of page) {
    if (stop.aborted) break;
    if (campaign.isLost) tellOfLost(deps, campaign.id);
    const isRemoved = await reduce(deps, campaign, endedBefore, stop).catch(onTrouble.bind(null, 'tidy'));
    if (isRemoved) campaigns++;
    round.after = campaign.id;
  }
  if (!hasMore) round.after = null;
  if (campaigns > 0) report({ campaigns });
  for (const removed of await retention.removed())
    await retention.clear(removed, stop).catch(onTrouble.bind(null, 'tidy'));
}

/** Nobody finds by itself that nothing moves any more: its status and counts stay as they were. */
function tellOfLost({ round, onTrouble }: Deps, campaign: string): void {
  if (round.told.has(campaign)) return;
  if (round.told.size >= maxTold) round.told.clear();
  round.told.add(campaign);
  const lost =
    'Redis lost the marks of this campaign, so its pending recipients get no mail: cancel the campaign, then delete it';
  onTrouble('campaign', new Error(lost), { campaign });
}

/** Removes what is no longer needed of the campaign. @returns whether all of it was removed */
async function reduce(
  { retention }: Deps,
  { id, status, endedAt, hasAddresses }: CampaignKeep,
  endedBefore: number,
  stop: AbortSignal,
): Promise<boolean> {
  if (endedAt !== null && endedAt <= endedBefore && (await retention.remove(id, endedBefore))) return true;
  if (hasAddresses && !takesRecipients(status)) await retention.dropAddresses(id, stop);
  return false;
}
