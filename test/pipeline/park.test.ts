/** park: an email that waits is put aside, or given up at its end, but never because its end came while no connection was free. */
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import type { Refused } from '../../src/pipeline/admit.ts';
import { park } from '../../src/pipeline/park.ts';
import { openBudgets } from '../../src/store/budgets.ts';
import { keys } from '../../src/store/keys.ts';
import { ratesOf } from '../support/rates.ts';
import { useTestRedis } from '../support/use-redis.ts';
import { failover, planTo } from '../support/worker.ts';

let redis: Redis;
useTestRedis((server) => {
  redis = server.connect();
});

const end = 1_764_000_000_000;
const due = { id: 'em_1', lane: 'transactional', dueAt: 1, endsAt: end, isOfCampaign: false } as const;

/** Parks at its very end an email that had time left when its transport was asked. */
function parkAtEnd(refused: Refused) {
  const transports = { plan: planTo({ one: { port: 1 } }, { default: failover('one') }) };
  const deps = { transports, known: new Map(), budgets: openBudgets(redis), wake() {}, now: () => end };
  return park(deps, 'one', due, refused);
}

it('comes again at once for a free connection', async () => {
  expect(await parkAtEnd({ kind: 'full', why: 'transport one had no free connection', hasNone: false })).toEqual({
    kind: 'parked',
  });
  expect(Math.floor(Number(await redis.zscore(keys.again('transactional'), due.id)))).toBe(end);
});

it.each<Refused>([
  { kind: 'over_budget', why: 'transport one had used up its rate' },
  { kind: 'out_of_service', why: 'transport one is paused' },
])('is given up for $kind', async (refused) => {
  expect(await parkAtEnd(refused)).toMatchObject({ kind: 'transport_fault', detail: refused.why });
  expect(await redis.exists(keys.again('transactional'))).toBe(0);
});

it.each([
  { what: 'where its worker has no connection, keeps it for one that has', hasNone: true, left: 59 },
  { what: 'where all connections of its worker are busy, gives it back', hasNone: false, left: 60 },
])('with a permit, $what', async ({ hasNone, left }) => {
  const budgets = openBudgets(redis);
  const rates = ratesOf('60/h');
  const now = end - 1_000;
  await budgets.park('one', [due], now);
  await budgets.release('one', rates, {}, now);
  const transports = { plan: planTo({ one: { port: 1, rates } }, { default: failover('one') }) };
  const deps = { transports, known: new Map(), budgets, wake() {}, now: () => now };
  await park(deps, 'one', due, { kind: 'full', why: 'transport one has no connection free', hasNone });
  expect((await budgets.left('one', rates, now))[0]?.remaining).toBe(left);
  expect(await budgets.permits(['one'], [due.id])).toHaveLength(60 - left);
});
