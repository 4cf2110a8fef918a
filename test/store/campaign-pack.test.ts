/** What a campaign remembers of its recipients: nothing is lost by packing it, and a million fit into their budget. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { CampaignRow } from '../../src/domain/campaign.ts';
import type { PlaceOutcome } from '../../src/domain/campaign-email.ts';
import { packChunk, unpackChunk } from '../../src/store/campaign-chunk.ts';
import { packOutcomes, unpackOutcomes } from '../../src/store/campaign-outcomes.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 20 });
const key = fc.string({ maxLength: 8 }).filter((name) => name !== '__proto__');
const value = fc.jsonValue({ noUnicodeString: false } as object).filter((json) => !hasProto(json));
const row: fc.Arbitrary<CampaignRow> = fc.record(
  { address: text, name: text, variables: fc.dictionary(key, value, { maxKeys: 4, noNullPrototype: true }) },
  { requiredKeys: ['address', 'variables'] },
);

it('recipients come back as they were, whatever variables each of them has', () => {
  fc.assert(
    fc.property(fc.array(row, { maxLength: 20 }), (rows) => {
      expect(unpackChunk(packChunk(rows))).toEqual(JSON.parse(JSON.stringify(rows)));
    }),
  );
});

it('distinguishes a variable that is null, or a list, from a missing one', () => {
  const rows = [{ v: null }, {}, { v: [] }, { v: [[]] }, { v: [null] }, { v: 0 }].map((variables) => ({
    address: 'ada@example.com',
    variables,
  }));
  expect(unpackChunk(packChunk(rows))).toEqual(rows);
});

it('reads no more than there is, where no recipient has the variables of another', () => {
  const rows = Array.from({ length: 500 }, (_, n) => ({
    address: `${n}@example.com`,
    variables: Object.fromEntries(Array.from({ length: 20 }, (_, m) => [`v${n}_${m}`, m % 2 ? null : m])),
  }));
  expect(packChunk(rows).length).toBeLessThan(100_000);
  expect(unpackChunk(packChunk(rows))).toEqual(rows);
});

const ms = fc.option(fc.integer({ min: 0, max: 1e6 }));
const outcome: fc.Arbitrary<PlaceOutcome> = fc.record({
  place: fc.nat(),
  at: fc.nat(),
  attempts: fc.nat(9),
  transport: fc.option(text),
  reply: fc.option(text),
  reason: fc.option(text),
  trace: fc.option(
    fc.record({
      host: fc.option(text),
      tls: fc.option(text),
      ms: fc.record({ connect: ms, envelope: ms, body: ms }),
    }),
  ),
});

it('outcomes at places come back as they were', () => {
  fc.assert(
    fc.property(fc.array(outcome, { maxLength: 20 }), (outcomes) => {
      expect(unpackOutcomes(packOutcomes(outcomes))).toEqual(outcomes);
    }),
  );
});

function hasProto(json: unknown): boolean {
  return JSON.stringify(json)?.includes('__proto__') ?? false;
}
