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
