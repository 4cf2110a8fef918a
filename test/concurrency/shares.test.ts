/** Shares: one party leaves as much free as it has, whoever waits comes in by turns, and a wait may end before. */
import { getEventListeners } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { makeShares } from '../../src/concurrency/shares.ts';

const patient = new AbortController().signal;

/** How many places a party gets at once. */
function takeAll(places: ReturnType<typeof makeShares>, party: string) {
  const leaves: (() => void)[] = [];
  for (let leave = places.tryTake(party); leave !== null; leave = places.tryTake(party)) leaves.push(leave);
  return leaves;
}

it('one party gets half of eight places, and each later party half of what is left, until none is left', () => {
  const places = makeShares(8);
  expect(['a', 'b', 'c', 'd', 'e'].map((party) => takeAll(places, party).length)).toEqual([4, 2, 1, 1, 0]);
});

it('one place alone may be had', () => {
  expect(takeAll(makeShares(1), 'a')).toHaveLength(1);
});

it('those that wait come in as places become free, in order, and pass those whose party has its share', async () => {
  const places = makeShares(8);
  const [a, b, c] = ['a', 'b', 'c'].map((party) => takeAll(places, party));
  takeAll(places, 'd');
  const inside: string[] = [];
  const come = async (name: string) => {
    await places.take(name.slice(0, 1), patient);
    inside.push(name);
  };
  const waiting = ['a1', 'e1', 'e2', 'a2'].map(come);
  c?.pop()?.();
  await waiting[1];
  expect(inside).toEqual(['e1']);
  for (const leave of b ?? []) leave();
  await waiting[2];
  expect(inside).toEqual(['e1', 'e2']);
  for (const leave of a ?? []) leave();
  await Promise.all(waiting);
  expect(inside).toEqual(['e1', 'e2', 'a1', 'a2']);
});

it('a wait whose signal aborts ends without a place, and takes none afterwards', async () => {
  const places = makeShares(2);
  const leave = places.tryTake('a');
  const stop = new AbortController();
  const waiting = places.take('a', stop.signal);
  stop.abort();
  expect(await waiting).toBeNull();
  expect(await places.take('a', stop.signal)).toBeNull();
  leave?.();
  expect(takeAll(places, 'b')).toHaveLength(1);
});

it('a wait that was given a place keeps nothing of its signal', async () => {
  const places = makeShares(2);
  const leave = places.tryTake('a');
  const { signal } = new AbortController();
  const waiting = places.take('a', signal);
  expect(getEventListeners(signal, 'abort')).toHaveLength(1);
  leave?.();
  expect(await waiting).not.toBeNull();
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
});

it('with weights a party holds no more than it leaves free, but all places at once if nobody has any', async () => {
  const places = makeShares(64);
  const first = places.tryTake('a', 25);
  expect(places.tryTake('a', 25)).toBeNull();
  const second = places.tryTake('b', 25);
  expect(places.tryTake('c', 25)).toBeNull();
  const waiting = places.take('c', patient, 25);
  second?.();
  (await waiting)?.();
  first?.();
  expect(places.tryTake('d', 100)).not.toBeNull();
  expect(places.tryTake('e')).toBeNull();
});

it('nobody passes a caller whose party has no place: otherwise callers that want less could keep it waiting for ever', async () => {
  const places = makeShares(64);
  const first = places.tryTake('a', 25);
  places.tryTake('b', 25);
  const small = places.tryTake('e', 4);
  const inside: string[] = [];
  const come = async (party: string, weight: number) => {
    await places.take(party, patient, weight);
    inside.push(party);
  };
  const waiting = [come('c', 25), come('d', 12)];
  small?.();
  expect(places.tryTake('e', 10)).toBeNull();
  await nextTurn();
  expect(inside).toEqual([]);
  first?.();
  await Promise.all(waiting);
  expect(inside).toEqual(['c', 'd']);
});

it('those that wait after it get in as soon as it gives up', async () => {
  const places = makeShares(64);
  places.tryTake('a', 25);
  places.tryTake('b', 25);
  const stop = new AbortController();
  const heavy = places.take('c', stop.signal, 25);
  const light = places.take('d', patient, 10);
  stop.abort();
  expect(await heavy).toBeNull();
  expect(await light).not.toBeNull();
});

it('a caller whose party has places is passed by other parties, but not by its own', async () => {
  const places = makeShares(64);
  const mine = [places.tryTake('a', 10), places.tryTake('a', 10)];
  const inside: number[] = [];
  const come = async (weight: number) => {
    await places.take('a', patient, weight);
    inside.push(weight);
  };
  const waiting = [come(25), come(5)];
  const other = places.tryTake('b', 22);
  expect(other).not.toBeNull();
  mine[0]?.();
  expect(places.tryTake('a', 5)).toBeNull();
  await nextTurn();
  expect(inside).toEqual([]);
  other?.();
  await waiting[0];
  mine[1]?.();
  await waiting[1];
  expect(inside).toEqual([25, 5]);
});
