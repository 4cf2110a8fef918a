/** The log of deliveries over a real Redis: newest first also where ids do not sort as text. */
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openDeliveries, packDelivery, unpackDelivery } from '../../src/store/deliveries.ts';
import { keys } from '../../src/store/keys.ts';
import { openTestRedis } from '../support/redis.ts';

const opened = new AsyncDisposableStack();
let redis: Redis;
let deliveries: ReturnType<typeof openDeliveries>;
/** Oldest first: of two within one millisecond the later has the greater number. */
const ids = ['dl_999_0', 'dl_1000_2', 'dl_1000_9', 'dl_1000_10', 'dl_1000_100', 'dl_1001_0'];
beforeAll(async () => {
  redis = opened.use(await openTestRedis()).connect();
  for (const [n, id] of ids.entries()) {
    const parcel = id.slice('dl_'.length).replace('_', '-');
    const json = JSON.stringify({ p: parcel, y: ['email.sent'], t: [[n, 200, 1]], w: `ev_${n}` });
    const delivery = packDelivery(unpackDelivery(json, 'success'));
    await redis.hset(keys.deliveries('wh_1'), id, delivery);
    await redis.zadd(keys.deliveriesBy('wh_1', 'success'), 1, id);
  }
  deliveries = openDeliveries(redis);
});
afterAll(() => opened.disposeAsync());

const page = async (query: { limit: number; after?: string; before?: string }) => {
  const { page: found, hasMore } = await deliveries.page('wh_1', query);
  return { ids: found.map(({ id }) => id), hasMore };
};

it('those of one millisecond are listed newest first, and pages continue after each of them', async () => {
  const newest = ids.toReversed();
  expect(await page({ limit: 10 })).toEqual({ ids: newest, hasMore: false });
  const seen: string[] = [];
  for (let after: string | undefined; seen.length < ids.length; after = seen.at(-1)) {
    const { ids: one } = await page({ limit: 1, ...(after === undefined ? {} : { after }) });
    expect(one).toHaveLength(1);
    seen.push(...one);
  }
  expect(seen).toEqual(newest);
  expect(await page({ limit: 2, before: 'dl_1000_9' })).toEqual({ ids: ['dl_1000_100', 'dl_1000_10'], hasMore: true });
});

it('of several that are read at once, one that cannot be read keeps back none of the others', async () => {
  await redis.hset(keys.deliveries('wh_1'), 'dl_7_7', '{"p":');
  await redis.zadd(keys.deliveriesBy('wh_1', 'failed'), 1, 'dl_7_7');
  const read = await Promise.allSettled(
    ['dl_999_0', 'dl_7_7', 'dl_8_8', 'dl_1001_0'].map((id) => deliveries.get('wh_1', id)),
  );
  const found = read.map((one) => (one.status === 'fulfilled' ? (one.value?.id ?? null) : 'unreadable'));
  expect(found).toEqual(['dl_999_0', 'unreadable', null, 'dl_1001_0']);
});
