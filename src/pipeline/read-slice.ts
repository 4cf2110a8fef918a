/** read-slice: reads the recipients of a slice of a campaign, each with its letter. */
import { type PlaceMark, sliceSize } from '../domain/campaign.ts';
import { placeEmail } from '../domain/campaign-email.ts';
import type { CampaignSlices, Take } from '../store/campaign-slices.ts';
import type { Letter, PreparedCampaign } from './prepare-campaign.ts';
import type { PlaceInHand } from './settle-place.ts';

type Deps = {
  slices: Pick<CampaignSlices, 'rows'>;
  onTrouble(part: 'send slice', error: unknown, fields: { readonly campaign: string }): void;
  now(): number;
};

export type PlaceRead = PlaceInHand & Letter & { readonly mark: PlaceMark; readonly address: string };

export type SliceRead = {
  readonly places: readonly PlaceRead[];
  /** A recipient that is not finished cannot be read. */
  readonly isDamaged: boolean;
};

export async function readSlice(deps: Deps, take: Take, { head, letterTo }: PreparedCampaign): Promise<SliceRead> {
  const { campaignId, slice, status, startedAt, marks } = take;
  const campaign = { head, state: { status, startedAt, scheduledAt: null } };
  const rows = await deps.slices.rows(take);
  const damaged = marks.filter((mark, n) => rows[n] === undefined && isToDo(mark, take)).length;
  if (damaged > 0) {
    const error = new Error(`${damaged} recipients of slice ${slice} cannot be read`);
    deps.onTrouble('send slice', error, { campaign: campaignId });
  }
  const places = rows.flatMap((row, n): PlaceRead[] => {
    const [place, mark] = [slice * sliceSize + n, marks[n] ?? 'absent'];
    if (row === undefined || mark === 'absent') return [];
    const queued = { place, row, mark: 'queued', outcome: null } as const;
    const email = placeEmail(campaign, queued, head.subject, deps.now());
    return [{ ...letterTo(row, email), campaignId, place, from: 'queued', email, mark, address: row.address }];
  });
  return { places, isDamaged: damaged > 0 };
}

function isToDo(mark: PlaceMark, { status }: Take): boolean {
  return mark === 'queued' || mark === 'handing' || (mark === 'left' && status === 'canceled');
}
