/** tidy: what campaigns need no more goes, a piece at a time: who is in one, once nobody can be added, and all of it once its time is over. */
import { takesRecipients } from '../domain/campaign.ts';
import type { CampaignRetention } from '../store/campaign-retention.ts';

type Deps = {
  retention: CampaignRetention;
  /** How long a campaign is kept once it has ended, in milliseconds. */
  keepMs: number;
  round: Round;
  report(forgotten: { campaigns: number }): void;
  now(): number;
};

/** How far this worker has come on its present way through all campaigns; null before the first. */
export type Round = { after: string | null };

export function makeRound(): Round {
  return { after: null };
}

/** Looks at some campaigns, and at the next ones the next time: however many there are, that costs Redis no more. */
export async function tidy({ retention, keepMs, round, report, now }: Deps, stop: AbortSignal): Promise<void> {
  const endedBefore = now() - keepMs;
  const { page, hasMore } = await retention.page(round.after);
  let campaigns = 0;
  for (const { id, status, endedAt, hasAddresses } of page) {
    if (stop.aborted) break;
    if (endedAt !== null && endedAt <= endedBefore && (await retention.remove(id, endedBefore))) campaigns++;
    else if (hasAddresses && !takesRecipients(status)) await retention.dropAddresses(id, stop);
    round.after = id;
  }
  if (!hasMore) round.after = null;
  if (campaigns > 0) report({ campaigns });
  for (const removed of await retention.removed()) await retention.clear(removed, stop);
}
