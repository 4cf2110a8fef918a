/** find-in-campaign: finds the emails of one campaign for a list of emails, newest first: the recipient added last comes first. */
import type { Campaign, PlaceMark } from '../domain/campaign.ts';
import { mayStand } from '../domain/campaign-email.ts';
import { type StoredEmail, statusOf } from '../domain/email.ts';
import { placeId, placeIn } from '../domain/id.ts';
import type { RecipientStatus } from '../domain/recipient.ts';
import type { Campaigns } from '../store/campaigns.ts';

type Deps = {
  campaigns: Pick<Campaigns, 'places'>;
  /** The emails that exist at these places, in the same order. */
  lookUpPlaces(campaign: Campaign, places: readonly number[]): Promise<StoredEmail[]>;
};

export type CampaignQuery = {
  readonly status: RecipientStatus | null;
  readonly cursor: { readonly side: 'older' | 'newer'; readonly id: string } | null;
  readonly limit: number;
};

/** Most emails read for one answer. The status of a recipient that left its place is only in its record, so many may be read in vain. */
const mostLookedAt = 2_000;
/** Emails read together. */
const atOnce = 100;

/** Empty for a draft, which has no emails yet. Null when more than `mostLookedAt` would have to be read. */
export async function findInCampaign(
  { campaigns, lookUpPlaces }: Deps,
  campaign: Campaign,
  { status, cursor, limit }: CampaignQuery,
): Promise<StoredEmail[] | null> {
  const { head, state } = campaign;
  const isTowardsNewer = cursor?.side === 'newer';
  const at = cursor === null ? null : placeIn(cursor.id);
  const isWithin = at !== null && at.campaignId === head.id;
  const isOutsideCampaign = cursor !== null && !isWithin && cursor.id < placeId(head.id, 0) !== isTowardsNewer;
  if (state.status === 'draft' || isOutsideCampaign) return [];
  const found: StoredEmail[] = [];
  let lookedAt = 0;
  const isWanted = (one: RecipientStatus) => status === null || one === status;
  const isMarkWanted = (mark: PlaceMark) => mayStand(mark, state, isWanted);
  const places = campaigns.places(head.id, { from: isWithin ? at.place : null, isUp: isTowardsNewer }, isMarkWanted);
  for await (const some of groupsOf(places, atOnce)) {
    if (lookedAt >= mostLookedAt) return null;
    lookedAt += some.length;
    const emails = await lookUpPlaces(campaign, some);
    found.push(...emails.filter(({ state }) => isWanted(statusOf(state))));
    if (found.length >= limit) break;
  }
  found.splice(limit);
  return isTowardsNewer ? found.reverse() : found;
}

async function* groupsOf<T>(all: AsyncIterable<T>, size: number): AsyncGenerator<T[]> {
  let group: T[] = [];
  for await (const one of all) {
    group.push(one);
    if (group.length < size) continue;
    yield group;
    group = [];
  }
  if (group.length > 0) yield group;
}
