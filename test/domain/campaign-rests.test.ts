/** What a worker leaves alone of a campaign: no transport is asked in a hurry, and none holds up the others. */
import { expect, it } from 'vitest';
import { makeRests } from '../../src/domain/campaign-rests.ts';

const id = 'cm_1';
const slice = (waitedFor: string | null = null) => ({ campaignId: id, waitedFor });
const seen = (asked: string[], waitsFor: string[]) => ({
  ...{ hasSettled: asked.length > 0, asked: new Set(asked), waitsFor: new Set(waitsFor) },
});

it('a limited transport rests twice as long each time, up to a second, and from the start once it took something', () => {
  const rests = makeRests();
  const lasts: number[] = [];
  let now = 0;
  for (let n = 0; n < 7; n++) {
    rests.learn(slice('a'), seen([], ['a']), now);
    const { leastMs } = rests.of(id, now);
    lasts.push(leastMs);
    now += leastMs;
  }
  expect(lasts).toEqual([50, 100, 200, 400, 800, 1_000, 1_000]);
  rests.learn(slice('a'), seen(['a'], ['a']), now);
  expect(rests.of(id, now)).toEqual({ isWhole: false, isOldOnly: false, resting: ['a'], leastMs: 50 });
});

it('new slices go on while some transport takes all that it is given', () => {
  const rests = makeRests();
  rests.learn(slice(), seen(['b'], ['a']), 0);
  expect(rests.of(id, 0)).toMatchObject({ isWhole: false, isOldOnly: false, resting: ['a'] });
  rests.learn(slice('a'), seen([], ['a']), 0);
  expect(rests.of(id, 0)).toMatchObject({ isOldOnly: false, resting: ['a'] });
});

it('new slices rest where no transport is free, until one is', () => {
  const rests = makeRests();
  rests.learn(slice(), seen(['b'], ['a', 'b']), 0);
  expect(rests.of(id, 0)).toMatchObject({ isOldOnly: true, resting: ['a', 'b'] });
  rests.learn(slice('b'), seen(['b'], []), 0);
  expect(rests.of(id, 0)).toMatchObject({ isOldOnly: false, resting: ['a'] });
});

it('when a transport has sent something, the campaign whose turn is longest ago goes on at once, one at a time', () => {
  const rests = makeRests();
  const ids = ['cm_1', 'cm_2', 'cm_3'];
  const restAll = (name: string, now: number) => {
    for (const campaignId of ids)
      for (let n = 0; n < 6; n++) rests.learn({ campaignId, waitedFor: name }, seen([], [name]), now - 1_000 * (6 - n));
  };
  const going = (now: number) => ids.filter((one) => rests.of(one, now).resting.length === 0);
  restAll('a', 7_000);
  expect([going(6_500), rests.sent('cm_1', 'a', 6_500), going(6_500)]).toEqual([[], true, ['cm_2']]);
  expect([rests.sent('cm_1', 'a', 6_549), going(6_549)]).toEqual([false, ['cm_2']]);
  expect([rests.sent('cm_2', 'a', 6_550), going(6_550)]).toEqual([true, ['cm_2', 'cm_3']]);
  expect([rests.sent('cm_4', 'a', 6_600), going(6_600)]).toEqual([true, ids]);
  expect(rests.sent('cm_4', 'a', 6_650)).toBe(false);
  rests.learn({ campaignId: 'cm_2', waitedFor: 'a' }, seen([], ['a']), 6_700);
  expect([rests.sent('cm_2', 'b', 6_700), going(6_700)]).toEqual([false, ['cm_1', 'cm_3']]);
});

it('a campaign whose turn it is looks often, and stays the first, until something of it was sent', () => {
  const rests = makeRests();
  const wait = (campaignId: string, now: number) => rests.learn({ campaignId, waitedFor: 'a' }, seen([], ['a']), now);
  for (const now of [0, 50, 150, 350, 750]) for (const id of ['cm_1', 'cm_2']) wait(id, now);
  const waitsOf = (now: number) => ['cm_1', 'cm_2'].map((id) => rests.of(id, now).leastMs);
  expect(waitsOf(750)).toEqual([800, 800]);
  for (const now of [800, 850]) {
    rests.sent('cm_3', 'a', now);
    wait('cm_1', now + 5);
    expect(waitsOf(now + 5)).toEqual([50, 1_545 - now]);
  }
  rests.sent('cm_1', 'a', 900);
  wait('cm_2', 905);
  expect(waitsOf(905)[1]).toBe(50);
});

it('a campaign with nothing but what rests is left alone until the first rest ends, or a slice in hand shows something', () => {
  const rests = makeRests();
  rests.nothingElse(id, 0);
  expect(rests.of(id, 0)).toMatchObject({ isWhole: false });
  rests.learn(slice('a'), seen([], ['a']), 0);
  rests.nothingElse(id, 20);
  expect(rests.of(id, 20)).toEqual({ isWhole: true, isOldOnly: false, resting: ['a'], leastMs: 30 });
  expect(rests.of(id, 50)).toMatchObject({ isWhole: false, resting: [] });
  rests.learn(slice('b'), seen(['b'], []), 20);
  expect(rests.of(id, 20)).toMatchObject({ isWhole: false, resting: ['a'] });
});

it('a campaign that is not due is forgotten', () => {
  const rests = makeRests();
  rests.whole(id, 0);
  rests.keepOnly([]);
  expect(rests.of(id, 0)).toEqual({ isWhole: false, isOldOnly: false, resting: [], leastMs: Number.POSITIVE_INFINITY });
});
