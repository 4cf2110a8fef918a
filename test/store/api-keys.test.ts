/** Stored API keys: found by their hash, listed in pages, noted as used once a minute, and gone for good when revoked. */
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ApiKey, adminKey, hashToken } from '../../src/domain/api-key.ts';
import { type ApiKeys, openApiKeys } from '../../src/store/api-keys.ts';
import { keys } from '../../src/store/keys.ts';
import type { PageRequest } from '../../src/store/walk.ts';
import { openTestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let redis: Redis;
let apiKeys: ApiKeys;
beforeAll(async () => {
  const server = opened.use(await openTestRedis());
  redis = server.connect();
  apiKeys = openApiKeys(redis);
});
afterAll(() => opened.disposeAsync());

function keyOf(id: string, limits: Partial<ApiKey> = {}): ApiKey {
  return { ...adminKey, id, name: `key ${id}`, createdAt: 1, ...limits };
}

const minute = 60_000;

it('a key comes back as it was stored, by its token and by its id; the token itself is nowhere', async () => {
  const key = keyOf('ak_1', { fromDomains: ['a.example'], lanes: ['bulk'], rates: [{ count: 1, windowMs: 1_000 }] });
  await apiKeys.add(key, hashToken('pr_one'));
  expect(await apiKeys.find(hashToken('pr_one'), minute)).toEqual({ ...key, lastUsedAt: null });
  expect(await apiKeys.get('ak_1')).toMatchObject(key);
  expect(await apiKeys.find(hashToken('pr_other'), minute)).toBeNull();
  for (const id of ['ak_', 'ak_0', 'ak_11', 'ak_1.', '', 'ak_1\n']) expect(await apiKeys.get(id)).toBeNull();
  for (const stored of await redis.keys('*'))
    expect(JSON.stringify((await redis.type(stored)) === 'hash' ? await redis.hgetall(stored) : stored)).not.toContain(
      'pr_one',
    );
});

it('a key of an earlier version, which names no root, counts with the key that made it, or else for itself', async () => {
  for (const madeBy of ['ak_1', null]) {
    const { rootId: _, ...facts } = keyOf('ak_old', { madeBy });
    await redis.hset(keys.apiKey(hashToken('pr_old')), { facts: JSON.stringify(facts), name: 'old' });
    expect((await apiKeys.find(hashToken('pr_old'), minute))?.rootId).toBe(madeBy ?? 'ak_old');
  }
  await redis.del(keys.apiKey(hashToken('pr_old')));
});

it('a use is noted at most once a minute', async () => {
  await apiKeys.add(keyOf('ak_2'), hashToken('pr_two'));
  const used = async () => (await apiKeys.get('ak_2'))?.lastUsedAt;
  const use = (at: number) => apiKeys.find(hashToken('pr_two'), at);
  await Promise.all([use(minute * 10), use(minute * 10 + 1), use(minute * 10 + 2)]);
  await until('it to be noted', async () => (await used()) === minute * 10);
  await use(minute * 11 - 1);
  await use(minute * 11);
  await until('it to be noted again', async () => (await used()) === minute * 11);
});

it('a revoked key is found no more, and neither a late use nor a late name brings it back', async () => {
  await apiKeys.add(keyOf('ak_3'), hashToken('pr_three'));
  expect(await apiKeys.rename('ak_3', 'third')).toBe(true);
  expect(await apiKeys.get('ak_3')).toMatchObject({ name: 'third' });
  // Another process revokes it between the look-up and the note of its use.
  const interrupted: Redis = Object.assign(Object.create(redis), {
    async hmget(key: string, ...fields: string[]) {
      const found = await redis.hmget(key, ...fields);
      expect(await apiKeys.revoke('ak_3')).toBe(true);
      return found;
    },
  });
  expect(await openApiKeys(interrupted).find(hashToken('pr_three'), minute)).toMatchObject({ name: 'third' });
  expect(await apiKeys.find(hashToken('pr_three'), minute * 3)).toBeNull();
  expect(await apiKeys.rename('ak_3', 'again')).toBe(false);
  expect(await apiKeys.revoke('ak_3')).toBe(false);
  expect(await redis.exists(keys.apiKey(hashToken('pr_three')))).toBe(0);
});

describe('a list', () => {
  const ids = Array.from({ length: 250 }, (_, n) => `ak_l${String(n).padStart(3, '0')}`);
  beforeAll(async () => {
    for (const id of ids) await apiKeys.add(keyOf(id, { lanes: id.endsWith('0') ? ['bulk'] : null }), hashToken(id));
  });

  async function page(request: PageRequest, isListed = (key: ApiKey) => key.id.startsWith('ak_l')) {
    const { page, hasMore } = await apiKeys.page(request, isListed);
    return [...page.map(({ id }) => Number(id.slice(-3))), hasMore];
  }

  it('is walked newest first, onwards and back', async () => {
    expect(await page({ limit: 3 })).toEqual([249, 248, 247, true]);
    expect(await page({ limit: 3, after: 'ak_l247' })).toEqual([246, 245, 244, true]);
    expect(await page({ limit: 3, after: 'ak_l003' })).toEqual([2, 1, 0, false]);
    expect(await page({ limit: 3, after: 'ak_l000' })).toEqual([false]);
    expect(await page({ limit: 3, before: 'ak_l246' })).toEqual([249, 248, 247, false]);
    expect(await page({ limit: 2, before: 'ak_l246' })).toEqual([248, 247, true]);
    expect(await page({ limit: 2, before: 'ak_l249' })).toEqual([false]);
  });

  it('shows only keys that are to be listed, however far apart', async () => {
    const bulk = (key: ApiKey) => key.id.startsWith('ak_l') && key.lanes !== null;
    expect(await page({ limit: 24 }, bulk)).toEqual([...Array.from({ length: 24 }, (_, n) => 240 - n * 10), true]);
    expect(await page({ limit: 25 }, bulk)).toEqual([...Array.from({ length: 25 }, (_, n) => 240 - n * 10), false]);
    expect(await page({ limit: 100 }, (key) => key.id === 'ak_l000')).toEqual([0, false]);
  });
});
