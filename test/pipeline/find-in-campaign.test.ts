/** The emails of a campaign as a list: whoever is looked at costs a read of a record or of a chunk, and nobody's content is made. */

import { expect, it } from 'vitest';
import { cpuMs, monotonicNow } from '../../src/chance.ts';
import type { Campaign, PlaceMark } from '../../src/domain/campaign.ts';
import type { Placed } from '../../src/domain/campaign-email.ts';
import { placeId, placeIn } from '../../src/domain/id.ts';
import { findInCampaign } from '../../src/pipeline/find-in-campaign.ts';
import { lookUpPlaces } from '../../src/pipeline/look-up.ts';
import { openTemplating } from '../../src/templating/templating.ts';
import { draft } from '../support/campaign-drafts.ts';
import { recipient, storedEmail } from '../support/requests.ts';

const { head, content } = draft(
  { id: 'cm_1' },
  { subject: 'For {{ name }}', html: '{% for n in (1..x) %}a{% endfor %}' },
);
const campaign = { head, state: { status: 'running', startedAt: 1_000 } } as Campaign;

/** A campaign in which everybody left their place, and failed, but those `standing`. */
function world(size: number, standing: ReadonlySet<number>) {
  const counts = { chunks: 0, records: 0, turns: 0 };
  const markOf = (place: number): PlaceMark => (standing.has(place) ? 'sent' : 'left');
  const campaigns = {
    async *places(_: string, __: unknown, isWanted: (mark: PlaceMark) => boolean) {
      for (let place = size - 1; place >= 0; place--) if (isWanted(markOf(place))) yield place;
    },
    async chunk(_: string, chunk: number): Promise<Placed[]> {
      counts.chunks += 1;
      return Array.from({ length: 500 }, (_, n): Placed => {
        const place = chunk * 500 + n;
        const row = { address: `r${place}@x.co`, variables: { name: `N${place}` } };
        return { place, row, mark: markOf(place), outcome: null };
      });
    },
    content: async () => content,
    get: async () => campaign,
    at: () => Promise.reject(new Error('one by one')),
  };
  const emails = {
    async read(id: string) {
      counts.records += 1;
      const { place } = placeIn(id);
      return markOf(place) === 'left'
        ? storedEmail([recipient('f@x.co', { status: 'failed' })], { facts: { id } })
        : null;
    },
  };
  const { compiled } = openTemplating({ now: monotonicNow, cpuMs });
  const yieldTurn = async () => {
    counts.turns += 1;
  };
  const deps = { campaigns, emails, templating: { compiled, yieldTurn } };
  return { counts, deps: { campaigns, lookUpPlaces: lookUpPlaces.bind(null, deps) } };
}

it('a list unpacks each chunk once and renders only the subjects of letters, each in its turn', async () => {
  const { counts, deps } = world(1_000, new Set([600, 610, 620, 640]));
  const found = await findInCampaign(deps, campaign, { status: 'sent', cursor: null, limit: 3 });
  expect(found?.map(({ facts }) => [facts.id, facts.subject])).toEqual(
    [640, 620, 610].map((place) => [placeId('cm_1', place), `For N${place}`]),
  );
  expect(counts.chunks).toBe(1);
  expect(counts.turns).toBe(4);
});

it('a list reads at most 2,000 records for one answer, and no chunk for recipients that left', async () => {
  const { counts, deps } = world(2_001, new Set());
  expect(await findInCampaign(deps, campaign, { status: 'sent', cursor: null, limit: 3 })).toBeNull();
  expect(counts).toEqual({ chunks: 0, records: 2_000, turns: 0 });
  const fewer = world(2_000, new Set());
  expect(await findInCampaign(fewer.deps, campaign, { status: 'sent', cursor: null, limit: 3 })).toEqual([]);
});
