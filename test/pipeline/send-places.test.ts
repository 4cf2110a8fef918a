/** send-places: what a recipient holds while its message is on its way, and what the slice gets back of it. */
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { makeSemaphore, type Semaphore } from '../../src/concurrency/semaphore.ts';
import { placeId } from '../../src/domain/id.ts';
import { unmade } from '../../src/domain/outcome.ts';
import type { Dispatched, Outgoing } from '../../src/pipeline/dispatch.ts';
import type { PlaceRead } from '../../src/pipeline/read-slice.ts';
import { type SliceInHand, sendPlaces } from '../../src/pipeline/send-places.ts';
import type { Take } from '../../src/store/campaign-slices.ts';
import { newId } from '../support/worker.ts';

const campaign = newId('cm');
const idOf = (place: number) => placeId(campaign, place);
const answered: Dispatched = { kind: 'answered', transport: 't', replies: [] };
const undeliverable: Dispatched = { kind: 'undeliverable', transport: 't', detail: 'no' };

/** Whether one more may be in hand at this moment. */
async function isFree(inHand: Semaphore): Promise<boolean> {
  const now = new AbortController();
  const taking = inHand.take(now.signal);
  now.abort();
  const leave = await taking;
  leave?.();
  return leave !== null;
}

type Of = {
  places?: number;
  allowed?: number;
  isRefused?: boolean;
  inHand?: number;
  bytes?: number;
  onSettle?(seen: Seen): Promise<void>;
};
type Seen = { readonly inHand: Semaphore; readonly handedOver: ReadonlySet<string> };

/** A slice whose recipients go through `dispatch`, and all that was seen of it at the end. */
async function sendSlice(dispatch: (parcel: Outgoing) => Promise<Dispatched>, of: Of = {}) {
  const { places = 1, allowed = places, bytes = 1, onSettle = async () => {} } = of;
  const inHand = makeSemaphore(of.inHand ?? 1);
  const handedOver = new Set<string>();
  const written: number[] = [];
  /** How many messages were composed by each turn. */
  const turns: number[] = [];
  const settled: string[] = [];
  const troubles: unknown[] = [];
  const queued = Array.from({ length: places }, (_, place) => {
    const write = async () => {
      if (!written.includes(place)) written.push(place);
      return { raw: Buffer.alloc(bytes) };
    };
    const email = { facts: { id: idOf(place), from: { address: 'news@x.co' } } };
    const subject = () => (written.includes(place) ? 's' : null);
    return { place, from: 'queued', address: `r${place}@example.com`, email, write, subject } as unknown as PlaceRead;
  });
  const slice: SliceInHand = {
    ...{ take: { id: 'jb', campaignId: campaign } as Take, allowed },
    ...{ isHeldUp: false, isCutShort: false, waitsFor: new Set<string>() },
    async settle({ place, from }, { kind }) {
      settled.push(`${place} ${from} ${kind}`);
      await onSettle({ inHand, handedOver });
    },
    guard: (_, step) => step().catch((error: unknown) => void troubles.push(error)),
  };
  const deps = {
    ...{ slices: { claim: async () => of.isRefused !== true }, inHand, suppress: async () => [], dispatch, handedOver },
    ...{ stopping: new AbortController().signal },
    yieldTurn: async () => void turns.push(written.length),
  };
  await sendPlaces(deps, slice, queued);
  return { slice, settled, written, turns, troubles, handedOver, isFree: await isFree(inHand) };
}

async function claimed(parcel: Outgoing): Promise<Dispatched> {
  await parcel.claim('t');
  return answered;
}

describe('a recipient', () => {
  it('whose claim is refused holds up the slice, which may send it later', async () => {
    const answer = async (parcel: Outgoing): Promise<Dispatched> => {
      await parcel.claim('t');
      // By then the next recipient waits for the place in hand.
      await turn();
      return { kind: 'withheld' };
    };
    const seen = await sendSlice(answer, { places: 3, isRefused: true });
    expect(seen.slice).toMatchObject({ allowed: 3, isHeldUp: true, waitsFor: new Set() });
    expect(seen).toMatchObject({ settled: [], isFree: true });
  });

  it.each<[string, (parcel: Outgoing) => Promise<Dispatched>]>([
    ['is kept for its transport', async () => ({ kind: 'kept', transport: 'u' })],
    ['waited for a connection in vain', (parcel) => parcel.message('u').then(() => ({ kind: 'withheld' }))],
  ])('that %s is passed over, and the others are sent to', async (_, wait) => {
    const isOfU = ({ email }: Outgoing) => email.facts.id === idOf(0) || email.facts.id === idOf(2);
    const seen = await sendSlice((parcel) => (isOfU(parcel) ? wait(parcel) : claimed(parcel)), { places: 4 });
    expect(seen.slice).toMatchObject({ allowed: 2, isHeldUp: false, isCutShort: false, waitsFor: new Set(['u']) });
    expect(seen).toMatchObject({ settled: ['1 handing answered', '3 handing answered'], isFree: true });
  });

  it('that is passed over leaves what it was allowed to the next, also where one message is allowed', async () => {
    const wait = async (parcel: Outgoing): Promise<Dispatched> =>
      parcel.email.facts.id < idOf(2) ? { kind: 'kept', transport: 'u' } : claimed(parcel);
    const seen = await sendSlice(wait, { places: 4, allowed: 1 });
    expect(seen.settled).toEqual(['2 handing answered']);
    expect(seen.slice).toMatchObject({ allowed: 0, isCutShort: true, waitsFor: new Set(['u']) });
  });

  it('whose letter cannot be made leaves what it was allowed to the next', async () => {
    const answer = async (parcel: Outgoing): Promise<Dispatched> =>
      parcel.email.facts.id < idOf(2) ? unmade('t', 'name is missing') : claimed(parcel);
    const seen = await sendSlice(answer, { places: 4, allowed: 1 });
    expect(seen.settled).toEqual(['0 queued undeliverable', '1 queued undeliverable', '2 handing answered']);
    expect(seen.slice).toMatchObject({ allowed: 0, isCutShort: true, isHeldUp: false });
  });

  it('counts as handed over from its claim until it is settled, which needs no place in hand', async () => {
    const seenAtSettle: unknown[] = [];
    const onSettle = async ({ inHand, handedOver }: Seen) =>
      void seenAtSettle.push({ isFree: await isFree(inHand), handedOver: [...handedOver] });
    const seen = await sendSlice(claimed, { onSettle });
    expect(seenAtSettle).toEqual([{ isFree: true, handedOver: [idOf(0)] }]);
    expect([...seen.handedOver]).toEqual([]);
  });

  it('leaves nothing in hand when its dispatch fails after the claim', async () => {
    const seen = await sendSlice(async (parcel) => {
      await claimed(parcel);
      throw new Error('Redis is away');
    });
    expect(seen).toMatchObject({ settled: [], isFree: true, troubles: [new Error('Redis is away')] });
    expect([...seen.handedOver]).toEqual([]);
  });

  it('is settled as one in hand after its claim, and as one that waits before it', async () => {
    const seen = await sendSlice(
      (parcel) => (parcel.email.facts.id === idOf(0) ? claimed(parcel) : Promise.resolve(undeliverable)),
      { places: 2 },
    );
    expect(seen.settled.toSorted()).toEqual(['0 handing answered', '1 queued undeliverable']);
  });
});

it('messages are composed ahead up to a limit of bytes; the others when a transport asks for them', async () => {
  const ask = async (parcel: Outgoing, last: number) => {
    if (parcel.email.facts.id <= idOf(last)) await parcel.message('t');
    return undeliverable;
  };
  const of = { places: 4, bytes: 600 * 1_024 };
  expect((await sendSlice(async () => undeliverable, of)).written).toEqual([]);
  expect((await sendSlice((parcel) => ask(parcel, 0), of)).written).toEqual([0, 1]);
  expect((await sendSlice((parcel) => ask(parcel, 2), of)).written).toEqual([0, 1, 2]);
});

it('no message is composed without a turn, also when a transport asks for it', async () => {
  const ask = async (parcel: Outgoing) => {
    await parcel.message('t');
    return undeliverable;
  };
  const { written, turns } = await sendSlice(ask, { places: 4, bytes: 600 * 1_024 });
  expect(written).toEqual([0, 1, 2, 3]);
  for (const before of [0, 1, 2, 3]) expect(turns).toContain(before);
  // One for each recipient as it begins, and one for each message.
  expect(turns).toHaveLength(8);
});
