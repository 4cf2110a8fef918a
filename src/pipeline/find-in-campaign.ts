/** find-in-campaign: the emails of one campaign as a list of emails has them, the newest first, which is the one that was added last. */
import type { Campaign, PlaceMark } from '../domain/campaign.ts';
import { type LoadedEmail, type StoredEmail, statusOf } from '../domain/email.ts';
import { placeId, placeIn } from '../domain/id.ts';
import type { RecipientStatus } from '../domain/recipient.ts';
import type { Campaigns } from '../store/campaigns.ts';

type Deps = {
  campaigns: Pick<Campaigns, 'places'>;
  lookUp(id: string): Promise<LoadedEmail | null>;
};

export type CampaignQuery = {
  readonly status: RecipientStatus | null;
  readonly cursor: { readonly side: 'older' | 'newer'; readonly id: string } | null;
  readonly limit: number;
};

/** Of those that left their place only the record says where they stand: so many are looked at for one answer. */
const mostLookedAt = 2_000;

/** None of a draft, which has no emails yet. Null when too many would have to be looked at. */
export async function findInCampaign(
  { campaigns, lookUp }: Deps,
  { head, state }: Campaign,
  { status, cursor, limit }: CampaignQuery,
): Promise<StoredEmail[] | null> {
  const isUp = cursor?.side === 'newer';
  const at = cursor === null ? null : placeIn(cursor.id);
  const isWithin = at !== null && at.campaignId === head.id;
  const isBeyond = cursor !== null && !isWithin && cursor.id < placeId(head.id, 0) !== isUp;
  if (state.status === 'draft' || isBeyond) return [];
  const found: StoredEmail[] = [];
  let lookedAt = 0;
  const places = campaigns.places(head.id, { from: isWithin ? at.place : null, isUp }, (mark) => mayBe(mark, status));
  for await (const place of places) {
    if (found.length === limit) break;
    lookedAt += 1;
    if (lookedAt > mostLookedAt) return null;
    const email = await lookUp(placeId(head.id, place));
    if (email !== null && (status === null || statusOf(email.state) === status)) found.push(email);
  }
  return isUp ? found.reverse() : found;
}

function mayBe(mark: PlaceMark, status: RecipientStatus | null): boolean {
  if (mark === 'absent') return false;
  return status === null || mark === 'left' || mark === status || (mark === 'handing' && status === 'queued');
}
