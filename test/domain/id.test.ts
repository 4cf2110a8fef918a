/** Ids: they sort as their times do, whether as text or as bytes, and nothing is lost between the two. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  campaignIdForm,
  emailIdForm,
  idBytes,
  idFromBytes,
  makeCampaignId,
  makeId,
  maxPlaces,
  placeId,
  placeIn,
  timeOfId,
} from '../../src/domain/id.ts';

const time = fc.integer({ min: 0, max: 2 ** 48 - 1 });
const entropy = fc.uint8Array({ minLength: 10, maxLength: 10 });

it('an id shows when it was made and comes back from its bytes', () => {
  fc.assert(
    fc.property(time, entropy, (at, chance) => {
      const id = makeId('em', at, chance);
      expect(id).toMatch(emailIdForm);
      expect(timeOfId(id)).toBe(at);
      expect(idBytes(id)).toHaveLength(16);
      expect(idFromBytes('em', idBytes(id))).toBe(id);
    }),
  );
});

it('ids, their bytes and their times have one order', () => {
  fc.assert(
    fc.property(time, time, entropy, entropy, (at, bt, one, two) => {
      const [a, b] = [makeId('em', at, one), makeId('em', bt, two)];
      const byText = a < b ? -1 : a > b ? 1 : 0;
      expect(idBytes(a).compare(idBytes(b))).toBe(byText);
      if (at !== bt) expect(byText).toBe(at < bt ? -1 : 1);
    }),
  );
});

it('the id of an email of a campaign shows its campaign and its place, and no other place has it', () => {
  const place = fc.integer({ min: 0, max: maxPlaces - 1 });
  fc.assert(
    fc.property(time, entropy, place, (at, chance, place) => {
      const campaign = makeCampaignId(at, chance);
      expect(campaign).toMatch(campaignIdForm);
      const id = placeId(campaign, place);
      expect(id).toMatch(emailIdForm);
      expect(placeIn(id)).toEqual({ campaignId: campaign, place });
      expect(timeOfId(id)).toBe(at);
    }),
  );
});
