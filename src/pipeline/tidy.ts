/** tidy: what campaigns need no more goes, a piece at a time: who is in one, once nobody can be added. */
import { takesRecipients } from '../domain/campaign.ts';
import type { CampaignRetention } from '../store/campaign-retention.ts';

type Deps = {
  retention: CampaignRetention;
  round: Round;
};

/** How far this worker has come on its present way through all campaigns; null before the first. */
export type Round = { after: string | null };

export function makeRound(): Round {
  return { after: null };
}

/** Looks at some campaigns, and at the next ones the next time: however many there are, that costs Redis no more. */
export async function tidy({ retention, round }: Deps, stop: AbortSignal): Promise<void> {
  const { page, hasMore } = await retention.page(round.after);
  for (const { id, status, hasAddresses } of page) {
    if (hasAddresses && !takesRecipients(status)) await retention.dropAddresses(id, stop);
    if (stop.aborted) return;
    round.after = id;
  }
  if (!hasMore) round.after = null;
}
