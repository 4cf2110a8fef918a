/** sweep-campaigns: removes, a piece at a time, the address sets of campaigns that take no more recipients, and campaigns past retention. */
import { takesRecipients } from '../domain/campaign.ts';
import type { CampaignKeep, CampaignRetention } from '../store/campaign-retention.ts';

type Deps = {
  retention: CampaignRetention;
  /** How long a campaign is kept once it has ended, in milliseconds. */
  keepMs: number;
  round: Round;
  report(forgotten: { campaigns: number }): void;
  onTrouble(part: string, error: unknown): void;
  now(): number;
};

/** Id of the campaign this worker looked at last on its way through all campaigns; null before the first. */
export type Round = { after: string | null };

export function makeRound(): Round {
  return { after: null };
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
    const isRemoved = await reduce(deps, campaign, endedBefore, stop).catch(onTrouble.bind(null, 'tidy'));
    if (isRemoved) campaigns++;
    round.after = campaign.id;
  }
  if (!hasMore) round.after = null;
  if (campaigns > 0) report({ campaigns });
  for (const removed of await retention.removed())
    await retention.clear(removed, stop).catch(onTrouble.bind(null, 'tidy'));
}

/** Reduces a campaign to what is still needed of it. @returns whether it was removed */
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
