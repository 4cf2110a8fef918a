/** send-places: sends to the waiting recipients of a slice, except suppressed ones, and settles each by its own answer. */
import type { Semaphore } from '../concurrency/semaphore.ts';
import type { StoredEmail } from '../domain/email.ts';
import type { Lane } from '../domain/lane.ts';
import { type SettledOutcome, transportAsked, unmade } from '../domain/outcome.ts';
import { isSandbox } from '../domain/sandbox.ts';
import type { Message } from '../outbound/transport.ts';
import type { CampaignSlices, Take } from '../store/campaign-slices.ts';
import type { Dispatched, Outgoing } from './dispatch.ts';
import type { Written } from './prepare-campaign.ts';
import type { PlaceRead } from './read-slice.ts';
import type { PlaceInHand, PlaceResult } from './settle-place.ts';

type Deps = {
  slices: Pick<CampaignSlices, 'claim'>;
  /** Recipients in hand at a time, over all slices. */
  inHand: Pick<Semaphore, 'take'>;
  suppress(emails: readonly StoredEmail[], lane: Lane): Promise<(SettledOutcome | null)[]>;
  dispatch(outgoing: Outgoing): Promise<Dispatched>;
  /** Emails whose body may be at the next hop and whose answer is not stored yet. */
  handedOver: Set<string>;
  /** Called before each message is composed, and between two recipients: lets other work have its turn. */
  yieldTurn(): Promise<void>;
  /** Aborted when the process begins to stop. */
  stopping: AbortSignal;
};

/** A slice in the hands of this worker. */
export type SliceInHand = {
  readonly take: Take;
  /** Messages that may still be sent. */
  allowed: number;
  /** The rest of the slice cannot be sent now and is given back. */
  isHeldUp: boolean;
  /** Some recipients were not tried, as no more messages were allowed. */
  isCutShort: boolean;
  /** Transports that could not take recipients now. */
  readonly waitsFor: Set<string>;
  settle(held: PlaceInHand, what: PlaceResult): Promise<void>;
  /** Runs a step for one recipient. It never rejects: an error holds up the slice. */
  guard(of: PlaceInHand, step: () => Promise<void>): Promise<void>;
};

/**
 * Starts each recipient as soon as there is a place in hand for it, until the slice is held up. One whose transport cannot take it now is passed
 * over: the others may go another way.
 */
export async function sendPlaces(deps: Deps, slice: SliceInHand, queued: readonly PlaceRead[]): Promise<void> {
  const emails = queued.map(({ email }) => email);
  const barred = await deps.suppress(emails, 'bulk');
  let ahead: Promise<void> | undefined;
  /** Composes the messages, once a transport asks for one of them, so that none is composed in vain. */
  const writeAhead = () => {
    ahead ??= writeAll(deps, queued);
    return ahead;
  };
  const begun: Promise<void>[] = [];
  for (const [n, place] of queued.entries()) {
    const outcome = barred[n] ?? null;
    if (outcome !== null) {
      begun.push(slice.guard(place, () => slice.settle(place, outcome)));
      continue;
    }
    // Those that are passed over give back what they were allowed: without it, they would keep it from the others for ever.
    if (slice.allowed === 0) await Promise.all(begun);
    if (slice.allowed === 0) slice.isCutShort = true;
    if (slice.allowed === 0 || slice.isHeldUp) continue;
    const release = await deps.inHand.take(deps.stopping);
    if (release === null) slice.isHeldUp = true;
    if (release === null || slice.isHeldUp) {
      release?.();
      continue;
    }
    slice.allowed -= 1;
    const step = () => sendOne(deps, slice, place, writeAhead, release).finally(() => letGo(deps, place, release));
    begun.push(slice.guard(place, step));
    await deps.yieldTurn();
  }
  await Promise.all(begun);
}

function letGo({ handedOver }: Deps, { email }: PlaceRead, release: () => void): void {
  handedOver.delete(email.facts.id);
  release();
}

/** @param release gives back the place in hand, before the answer is settled: settling needs no place */
async function sendOne(
  deps: Deps,
  slice: SliceInHand,
  place: PlaceRead,
  writeAhead: () => Promise<void>,
  release: () => void,
): Promise<void> {
  let isClaimed: boolean | null = null;
  let asked: string | null = null;
  const outcome = await deps.dispatch({
    email: place.email,
    isSandbox: isSandbox(place.address),
    to: [place.address],
    // Its letter is made only once a transport asks for it.
    leastBytes: 0,
    isOfCampaign: true,
    async message(transport) {
      asked = transport;
      await writeAhead();
      if (place.subject() === null) await deps.yieldTurn();
      return messageOf(place, await place.write(), transport);
    },
    async claim() {
      isClaimed = await deps.slices.claim(slice.take, place.place);
      if (isClaimed) deps.handedOver.add(place.email.facts.id);
      return isClaimed;
    },
  });
  release();
  if (outcome.kind !== 'parked' && outcome.kind !== 'kept' && outcome.kind !== 'withheld') {
    // The rate counts messages, and none was made.
    if (transportAsked(outcome) === null) slice.allowed += 1;
    return slice.settle({ ...place, from: isClaimed ? 'handing' : 'queued' }, outcome);
  }
  // Withheld before a claim, it waited for a connection in vain. A claim that is refused means that the campaign stopped or the slice is lost.
  const waitsFor = outcome.kind === 'kept' ? outcome.transport : isClaimed === null ? asked : null;
  if (waitsFor === null) slice.isHeldUp = true;
  else slice.waitsFor.add(waitsFor);
  slice.allowed += 1;
}

/** Bytes of messages of a slice that are composed ahead: the rest is composed when a transport asks for it. */
const aheadBytes = 1024 * 1024;

/** Composing the messages in one go, and not between the sends, saves a fifth of the whole cost of sending. */
async function writeAll({ yieldTurn }: Deps, places: readonly PlaceRead[]): Promise<void> {
  let bytes = 0;
  for (const place of places) {
    if (bytes > aheadBytes) return;
    await yieldTurn();
    const written = await place.write();
    bytes += 'raw' in written ? written.raw.length : 0;
  }
}

function messageOf({ email, address }: PlaceRead, written: Written, transport: string): Message | SettledOutcome {
  if ('fault' in written) return unmade(transport, written.fault);
  const { id, from } = email.facts;
  return { emailId: id, envelope: { from: from.address, to: [address] }, raw: written.raw, dsn: null, attempts: 0 };
}
