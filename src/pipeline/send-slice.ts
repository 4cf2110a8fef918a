/** send-slice: one slice of a campaign. Settles lost recipients as unknown, then sends to the others, or cancels them with their campaign. */
import { mostAgainMs, type PlaceMark } from '../domain/campaign.ts';
import { lostOutcome } from '../domain/campaign-email.ts';
import { transportAsked } from '../domain/outcome.ts';
import type { CampaignSlices, Take } from '../store/campaign-slices.ts';
import type { PreparedCampaign } from './prepare-campaign.ts';
import type { PlaceRead, SliceRead } from './read-slice.ts';
import type { SliceInHand } from './send-places.ts';
import type { PlaceInHand, PlaceReport, PlaceResult } from './settle-place.ts';

type Deps = {
  slices: Pick<CampaignSlices, 'release'>;
  prepareCampaign(campaignId: string): Promise<PreparedCampaign | null>;
  readSlice(take: Take, campaign: PreparedCampaign): Promise<SliceRead>;
  sendPlaces(slice: SliceInHand, queued: readonly PlaceRead[]): Promise<void>;
  settle(held: PlaceInHand, what: PlaceResult): Promise<PlaceReport | null>;
  /** Cancels an email that left its place, once the campaign is canceled. False when the email must be looked at again. */
  callOff(emailId: string): Promise<boolean>;
  report(slice: SliceReport): void;
  onTrouble(part: 'send slice', error: unknown, fields: { readonly email: string }): void;
  now(): number;
};

export type SliceReport = {
  readonly take: Take;
  readonly settled: readonly PlaceReport[];
  /** Nothing more of its campaign can be sent now, whatever the transport. */
  readonly isHeldUp: boolean;
  /** Transports that could not take recipients of it now. */
  readonly waitsFor: ReadonlySet<string>;
  readonly ms: number;
};

/** An email that left its place and is being handed over at this moment is looked at again after this long. */
const callOffAgainMs = 1_000;
/** Wait after recipients of a slice could not be read: perhaps a worker of another version can, and each look writes a log line. */
const damagedAgainMs = mostAgainMs;

type Slice = SliceInHand & {
  readonly settled: PlaceReport[];
  /** How long until the slice is looked at again; null when that is not known to be needed. */
  againInMs: number | null;
};

/** Called with the transport of each message that was sent. */
type OnSent = (transport: string) => void;

/** Releases the slice at the end, also after an error: what is left of it is taken again. */
export async function sendSlice(deps: Deps, take: Take, onSent: OnSent): Promise<SliceReport> {
  const startedAt = deps.now();
  const campaign = await deps.prepareCampaign(take.campaignId).catch(async (error: unknown) => {
    await deps.slices.release(take, { againInMs: 0, unused: take.allowed });
    throw error;
  });
  // The campaign was deleted with its slices: there is nothing to release.
  if (campaign === null) return { take, settled: [], isHeldUp: true, waitsFor: new Set(), ms: 0 };
  const slice = openSlice(deps, take, onSent);
  try {
    await workOff(deps, slice, await deps.readSlice(take, campaign));
  } catch (error) {
    slice.isHeldUp = true;
    throw error;
  } finally {
    const { isHeldUp, isCutShort, againInMs, allowed, settled, waitsFor } = slice;
    await deps.slices.release(take, {
      againInMs: isHeldUp ? 0 : againInMs,
      unused: allowed,
      settled: settled.length,
      waitsFor: isCutShort ? [] : waitsFor,
    });
  }
  const { settled, isHeldUp, waitsFor } = slice;
  const report = { take, settled, isHeldUp, waitsFor, ms: deps.now() - startedAt };
  deps.report(report);
  return report;
}

function openSlice({ settle, onTrouble }: Deps, take: Take, onSent: OnSent): Slice {
  const slice: Slice = {
    take,
    settled: [],
    allowed: take.allowed,
    againInMs: null,
    isHeldUp: false,
    isCutShort: false,
    waitsFor: new Set<string>(),
    async settle(held, what) {
      const report = await settle(held, what);
      if (report === null) return;
      slice.settled.push(report);
      const transport = transportAsked(report.what);
      if (transport !== null) onSent(transport);
    },
    async guard({ email }, step) {
      try {
        await step();
      } catch (error) {
        // A bug, or Redis is away: a quick retry helps with neither.
        slice.isHeldUp = true;
        onTrouble('send slice', error, { email: email.facts.id });
      }
    },
  };
  return slice;
}

async function workOff(deps: Deps, slice: Slice, { places, isDamaged }: SliceRead): Promise<void> {
  if (isDamaged) slice.againInMs = damagedAgainMs;
  const marked = (mark: PlaceMark) => places.filter((place) => place.mark === mark);
  const each = (mark: PlaceMark, step: (place: PlaceRead) => Promise<void>) =>
    marked(mark).map((place) => slice.guard(place, () => step(place)));
  // The worker that had it died, or lost its lease, after the body may have begun to leave.
  const found = each('handing', (place) => slice.settle({ ...place, from: 'handing' }, lostOutcome(place.address)));
  if (slice.take.status !== 'canceled') {
    await Promise.all([...found, deps.sendPlaces(slice, marked('queued'))]);
    return;
  }
  // Recipients settled here may leave their place: the next look finds them among those that left.
  if (found.length > 0) slice.againInMs = 0;
  const canceled = each('queued', (place) => slice.settle(place, { kind: 'canceled' }));
  await Promise.all([...found, ...canceled, ...each('left', (place) => callOffOne(deps, slice, place))]);
}

async function callOffOne({ callOff }: Deps, slice: Slice, { email }: PlaceRead): Promise<void> {
  if (!(await callOff(email.facts.id))) slice.againInMs ??= callOffAgainMs;
}
