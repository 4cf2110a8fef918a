/** send-campaigns: sends due campaigns in turn, a slice at a time, while there is room in hand. */
import type { Nudge } from '../concurrency/nudge.ts';
import type { Semaphore } from '../concurrency/semaphore.ts';
import { makeRests, type Rests } from '../domain/campaign-rests.ts';
import { transportAsked } from '../domain/outcome.ts';
import type { CampaignSlices, Take } from '../store/campaign-slices.ts';
import type { SliceReport } from './send-slice.ts';

type Deps = {
  slices: Pick<CampaignSlices, 'due' | 'take' | 'renew'>;
  sendSlice(take: Take, onSent: (transport: string) => void): Promise<SliceReport>;
  /** Slices in hand at a time. */
  room: Pick<Semaphore, 'take'>;
  hands: SlicesInHand;
  /** Lease of a slice, renewed while it is in hand. After it, another worker takes the slices of a worker that died. */
  leaseMs: number;
  nudge: Nudge;
  /** Called when this worker starts a campaign. */
  reportCampaign(begun: { readonly campaignId: string; readonly status: 'running'; readonly recipients: number }): void;
  onTrouble(part: 'send slice', error: unknown, fields: { readonly campaign: string }): void;
  newId(prefix: 'jb'): string;
  /** A clock that never goes back. */
  now(): number;
};

/** The slices this process has in hand, and what one round remembers for the next. */
type SlicesInHand = {
  readonly slices: Map<Take, Promise<void>>;
  readonly rests: Rests;
  /** Id of the campaign that had its turn last. */
  last: string;
  /** Ids of campaigns that are canceled, as this process saw when it took a slice. */
  readonly canceled: Set<string>;
  /** Rounds since the canceled campaigns had their turn. */
  rounds: number;
  /** When due campaigns were read last, by the clock of Redis. */
  seenAt: number;
};

export function makeSlicesInHand(): SlicesInHand {
  return { slices: new Map(), rests: makeRests(), last: '', canceled: new Set(), rounds: 0, seenAt: 0 };
}

/** A campaign that becomes due is found at most this late, also when the bell was missed. */
const lookEveryMs = 1_000;

/** While other campaigns have mail to send, canceled ones get one round in this many: ending them is much work and sends nothing. */
const cancelEvery = 4;

/**
 * One round: takes a slice of each campaign that is due. Canceled campaigns take part when it is their turn, or when no other had a slice.
 * Waits when there was nothing to take.
 */
export async function sendCampaigns(deps: Deps, stop: AbortSignal): Promise<void> {
  const { hands } = deps;
  const due = await deps.slices.due(hands.seenAt);
  hands.seenAt = due.at;
  // A campaign whose slices are all in hand may not be due, and keeps its place among those that wait.
  hands.rests.keepOnly([...due.ids, ...[...hands.slices.keys()].map(({ campaignId }) => campaignId)]);
  for (const id of hands.canceled) if (!due.ids.includes(id)) hands.canceled.delete(id);
  const ids = inTurn(due.ids, hands.last);
  const sent = await takeOfEach(
    deps,
    ids.filter((id) => !hands.canceled.has(id)),
    stop,
  );
  hands.rounds += 1;
  const isTheirTurn = !sent.hasTaken || hands.rounds >= cancelEvery;
  if (isTheirTurn) hands.rounds = 0;
  const canceled = isTheirTurn ? ids.filter((id) => hands.canceled.has(id)) : [];
  const ended = await takeOfEach(deps, canceled, stop);
  const waitMs = Math.min(due.waitMs ?? lookEveryMs, sent.waitMs, ended.waitMs);
  if (!sent.hasTaken && !ended.hasTaken && !stop.aborted) await deps.nudge.wait(0, waitMs, stop);
}

type Round = { readonly hasTaken: boolean; readonly waitMs: number };

async function takeOfEach(deps: Deps, ids: readonly string[], stop: AbortSignal): Promise<Round> {
  const { hands, now } = deps;
  let waitMs = lookEveryMs;
  let hasTaken = false;
  for (const id of ids) {
    const rest = hands.rests.of(id, now());
    waitMs = Math.min(waitMs, rest.leastMs);
    if (rest.isWhole) continue;
    const release = await deps.room.take(stop);
    if (release === null) break;
    const inHand = [...hands.slices.keys()].map((take) => take.id);
    const { isOldOnly, resting } = rest;
    const taking = { id: deps.newId('jb'), leaseMs: deps.leaseMs, inHand, isOldOnly, resting };
    const take = await deps.slices.take(id, taking).catch((error: unknown) => {
      release();
      throw error;
    });
    hands.last = id;
    if (take.started !== undefined)
      deps.reportCampaign({ campaignId: id, status: 'running', recipients: take.started });
    if ('slice' in take) {
      if (take.status === 'canceled') hands.canceled.add(id);
      hold(deps, take, release);
      hasTaken = true;
    } else {
      release();
      if (take.waitMs === null) hands.rests.nothingElse(id, now());
      waitMs = Math.min(waitMs, take.waitMs ?? lookEveryMs);
    }
  }
  return { hasTaken, waitMs };
}

/** Orders the campaigns so that the one that had its turn last comes last. */
function inTurn(ids: readonly string[], last: string): string[] {
  const sorted = ids.toSorted();
  const next = sorted.findIndex((id) => id > last);
  return next <= 0 ? sorted : [...sorted.slice(next), ...sorted.slice(0, next)];
}

function hold(deps: Deps, take: Take, release: () => void): void {
  const { hands } = deps;
  const onSent = (transport: string) => {
    if (hands.rests.sent(take.campaignId, transport, deps.now())) deps.nudge.nudge();
  };
  const done = deps
    .sendSlice(take, onSent)
    .then((report) => learn(deps, report))
    .catch((error: unknown) => {
      deps.hands.rests.whole(take.campaignId, deps.now());
      deps.onTrouble('send slice', error, { campaign: take.campaignId });
    })
    .finally(() => {
      hands.slices.delete(take);
      release();
      deps.nudge.nudge();
    });
  hands.slices.set(take, done);
}

function learn({ hands: { rests }, now }: Deps, { take, settled, isHeldUp, waitsFor }: SliceReport): void {
  const asked = settled.flatMap(({ what }) => transportAsked(what) ?? []);
  rests.learn(take, { hasSettled: settled.length > 0, asked: new Set(asked), waitsFor }, now());
  if (isHeldUp) rests.whole(take.campaignId, now());
}

/** Renews the leases of the slices in hand. */
export async function keepHold({ slices, hands, leaseMs }: Pick<Deps, 'slices' | 'hands' | 'leaseMs'>): Promise<void> {
  await slices.renew([...hands.slices.keys()], leaseMs);
}
