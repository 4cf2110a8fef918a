/** What is told of an email at its place in a campaign: what stands there of its campaign, however far that came. */
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { placeId } from '../../src/domain/id.ts';
import { openCampaignSlices } from '../../src/store/campaign-slices.ts';
import { openCampaigns } from '../../src/store/campaigns.ts';
import { openEmails } from '../../src/store/emails.ts';
import { addCampaign } from '../support/campaigns.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
useTestRedis((server) => {
  redis = server.connect();
});

const head = { tags: [{ name: 'kind', value: 'news' }], createdAt: 5 };

it('recipients of a campaign that is canceled before its start are reported with its tags like any others', async () => {
  const draft = await addCampaign(redis, { recipients: 2, status: 'draft', head });
  const scheduled = await addCampaign(redis, { recipients: 2, status: 'scheduled', scheduledAt: 7, head });
  for (const id of [draft, scheduled]) {
    await openCampaigns(redis).move(id, { move: 'cancel', changeId: 'ch', now: 9, at: null });
    const taken = await openCampaignSlices(redis).take(id, { id: 'jb', leaseMs: 60_000, inHand: [] });
    expect(taken).toMatchObject({ status: 'canceled', slice: 0 });
  }
  const ids = [placeId(draft, 1), placeId(scheduled, 0), placeId(scheduled, 1)];
  const facts = await openEmails(redis).facts(ids);
  expect(ids.map((id) => facts.get(id))).toMatchObject([
    { campaignId: draft, tags: head.tags, createdAt: 5 },
    { campaignId: scheduled, tags: head.tags, createdAt: 5 },
    { campaignId: scheduled, tags: head.tags, createdAt: 5 },
  ]);
});

it('the facts of a campaign that has begun say when it did, and of one that is gone there are none', async () => {
  const id = await addCampaign(redis, { recipients: 1, head });
  const startedAt = (await openCampaigns(redis).get(id))?.state.startedAt;
  const gone = placeId(`${id.slice(0, -6)}zg0000`, 0);
  const facts = await openEmails(redis).facts([placeId(id, 0), gone]);
  expect([...facts.values()]).toMatchObject([{ id: placeId(id, 0), createdAt: startedAt }]);
});
