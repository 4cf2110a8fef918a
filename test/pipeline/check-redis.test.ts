/** check-redis: what a real Redis guarantees is told when it changes, and only then; what was seen last stands for others to read. */
import { expect, it } from 'vitest';
import type { RedisStanding } from '../../src/domain/redis-standing.ts';
import { checkRedis, type SeenRedis } from '../../src/pipeline/check-redis.ts';
import { openServer } from '../../src/store/server.ts';
import { openTestRedis } from '../support/redis.ts';

it('a Redis is reported once, again when its guarantees change, and again when they are back', async () => {
  await using server = await openTestRedis();
  const redis = server.connect();
  const told: string[] = [];
  const seen: SeenRedis = { standing: null };
  const report = ({ guarantee, unfit }: RedisStanding) => told.push(`${guarantee}${unfit === null ? '' : ', unfit'}`);
  const look = () => checkRedis({ server: openServer(redis), mustBeDurable: true, seen, report });
  for (const _ of [1, 2]) await look();
  expect(told).toEqual(['always']);
  await redis.config('SET', 'appendfsync', 'everysec');
  for (const _ of [1, 2]) expect(await look()).toMatchObject({ guarantee: 'everysec' });
  expect(told).toEqual(['always', 'everysec, unfit']);
  expect(seen.standing?.unfit).toMatch(/^REQUIRE_DURABLE_REDIS is set/);
  await redis.config('SET', 'appendfsync', 'always');
  for (const _ of [1, 2]) await look();
  expect(told).toEqual(['always', 'everysec, unfit', 'always']);
  expect(seen.standing).toMatchObject({ guarantee: 'always', unfit: null });
});
