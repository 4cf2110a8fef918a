/** Campaigns as drafts: what is stored of one comes back, and of changes that race one wins. */
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { makeCampaignId } from '../../src/domain/id.ts';
import { type Campaigns, openCampaigns } from '../../src/store/campaigns.ts';
import { draft } from '../support/campaign-drafts.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
let campaigns: Campaigns;
useTestRedis((server) => {
  redis = server.connect();
  campaigns = openCampaigns(redis);
});

let made = 0;
async function stored() {
  const given = draft({ id: makeCampaignId(++made, Buffer.alloc(10, made)) }, { html: '<p>old</p>' });
  await campaigns.add(given);
  return given;
}

const standing = async (id: string) => {
  const [found, content] = await Promise.all([campaigns.get(id), campaigns.content(id)]);
  return { ...found?.head, content, scheduledAt: found?.state.scheduledAt };
};

it('a draft that is changed comes back as it was changed last', async () => {
  const { head, content } = await stored();
  const changed = { head: { ...head, name: 'Other' }, content: { ...content, text: 'new' }, scheduledAt: 5 };
  expect(await campaigns.change(head, changed)).toBe('changed');
  expect(await standing(head.id)).toEqual({ ...changed.head, revision: 1, content: changed.content, scheduledAt: 5 });
  const again = (await campaigns.get(head.id))?.head ?? head;
  expect(await campaigns.change(again, { ...changed, scheduledAt: null })).toBe('changed');
  expect(await standing(head.id)).toMatchObject({ revision: 2, scheduledAt: null });
});

it('the content of its letters is not read when the campaign is only shown or listed', async () => {
  const given = draft(
    { id: makeCampaignId(++made, Buffer.alloc(10, made)) },
    { html: randomBytes(500_000).toString('hex') },
  );
  await campaigns.add(given);
  const answered = async () => Number(/total_net_output_bytes:(\d+)/.exec(await redis.info('stats'))?.[1]);
  const before = await answered();
  expect(await campaigns.get(given.head.id)).toMatchObject({ head: given.head, state: { status: 'draft' } });
  const { page } = await campaigns.page({ limit: 10 }, ({ id }) => id === given.head.id);
  expect(page).toHaveLength(1);
  expect((await answered()) - before).toBeLessThan(100_000);
});

it('a page for a key that sees few of them looks at so many at most, and says where to go on', async () => {
  const ids: string[] = [];
  for (let n = 0; n < 25; n++) ids.unshift((await stored()).head.id);
  const seen = ids[22];
  const few = openCampaigns(redis, 10);
  const pages = [];
  for (let after: string | undefined; pages.length < 3; after = pages.at(-1)?.next ?? undefined)
    pages.push(await few.page({ limit: 5, after }, ({ id }) => id === seen));
  const told = pages.map(({ page, hasMore, next }) => [page.map(({ id }) => id), hasMore, next]);
  expect(told.slice(0, 2)).toEqual([
    [[], true, ids[9]],
    [[], true, ids[19]],
  ]);
  expect(told[2]?.[0]).toEqual([seen]);
});

it('of two simultaneous changes one is refused, whatever they change', async () => {
  const was = await stored();
  const { head, content } = was;
  const changes = [
    { ...was, content: { ...content, html: '<p>new</p>' } },
    { ...was, content: { ...content, text: 'new' } },
    { ...was, content: { ...content, preheader: 'new' } },
    { ...was, scheduledAt: 5 },
    { ...was, head: { ...head, name: 'new' } },
    was,
  ];
  const answers = await Promise.all(changes.map((change) => campaigns.change(head, change)));
  expect(answers).toEqual(['changed', ...changes.slice(1).map(() => 'moved_on')]);
  expect(await standing(head.id)).toEqual({ ...head, revision: 1, content: changes[0]?.content, scheduledAt: null });
});

it('a change that is sent again, as its answer was lost, is done once and answered as the first time', async () => {
  const { head, content } = await stored();
  const changed = { head, content: { ...content, text: 'new' }, scheduledAt: 5 };
  for (const _ of [1, 2]) expect(await campaigns.change(head, changed)).toBe('changed');
  const sent = await campaigns.move(head.id, { move: 'cancel', changeId: 'ch', now: 1, at: null });
  expect(sent).toMatchObject({ status: 'canceled' });
  expect(await campaigns.change(head, changed)).toBe('changed');
  const later = (await campaigns.get(head.id))?.head ?? head;
  expect(await campaigns.change(later, changed)).toBe('moved_on');
});
