/** Mail of campaigns and the rates of a transport in simulated time: it is not parked, and has its share all the same. */
import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import type { Lane } from '../../src/domain/lane.ts';
import type { Rate } from '../../src/domain/rate.ts';
import { type Budgets, openBudgets } from '../../src/store/budgets.ts';
import { keys } from '../../src/store/keys.ts';
import { ratesOf } from '../support/rates.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
let budgets: Budgets;
useTestRedis(async (server) => {
  redis = server.connect();
  await redis.config('SET', 'appendfsync', 'no');
  budgets = openBudgets(redis);
});

const start = 1_700_000_000_000;
const endsAt = start + 86_400_000;
const stepMs = 50;
const hourMs = 3_600_000;

let lastId = 0;
const emailAt = (now: number, lane: Lane, isOfCampaign = false) => ({
  id: `em_${lastId++}`,
  lane,
  dueAt: now,
  endsAt,
  isOfCampaign,
});

async function park(lane: Lane, count: number): Promise<void> {
  const emails = Array.from({ length: count }, () => emailAt(start, lane));
  await budgets.park('ses', emails, start);
}

/** Sends all that were released by then, as workers would. */
async function sendReleased(now: number, lane: Lane): Promise<number> {
  const ids = await redis.zrangebyscore(keys.again(lane), '-inf', now);
  if (ids.length > 0) await redis.zrem(keys.again(lane), ...ids);
  if (ids.length > 0) await redis.zrem(keys.permits('ses'), ...ids);
  return ids.length;
}

type Sent = Record<Lane | 'campaign', number>;

/**
 * Steps through `ms` milliseconds from `from` on.
 * @param asks how many recipients of campaigns ask at this step
 */
async function run(rates: readonly Rate[], from: number, ms: number, asks: (now: number) => number): Promise<Sent> {
  const sent = { transactional: 0, bulk: 0, campaign: 0 };
  for (let now = from; now < from + ms; now += stepMs) {
    await budgets.release('ses', rates, {}, now);
    sent.transactional += await sendReleased(now, 'transactional');
    sent.bulk += await sendReleased(now, 'bulk');
    const asking = Array.from({ length: asks(now) }, () => emailAt(now, 'bulk', true));
    sent.campaign += (await budgets.admit('ses', rates, asking, now)).filter(Boolean).length;
  }
  return sent;
}

const always = () => 3;
const never = () => 0;
/** Leaves alone what is set aside for it afterwards. */
const atStart = (now: number) => (now === start ? 1 : 0);
const onceASecond = (now: number) => (now % 1_000 === 0 ? 100 : 0);

describe('a campaign over a transport with a rate', () => {
  it('gets every other message of bulk, however much bulk mail is parked', async () => {
    await park('bulk', 2_000);
    const sent = await run(ratesOf('20/s'), start, 10_000, always);
    expect(sent.campaign + sent.bulk).toBeGreaterThanOrEqual(198);
    expect(sent.campaign + sent.bulk).toBeLessThanOrEqual(205);
    expect(sent.campaign).toBeGreaterThanOrEqual(95);
    expect(sent.bulk).toBeGreaterThanOrEqual(95);
  });

  it.each([
    { rate: '1/s', asks: onceASecond, total: 100 },
    { rate: '600/h', asks: () => 100, total: 600 },
    { rate: '20/s,600/h', asks: always, total: 600 },
  ])('has it also at $rate', async ({ rate, asks, total }) => {
    await park('bulk', 2_000);
    const { campaign, bulk } = await run(ratesOf(rate), start, 100_000, asks);
    expect(campaign).toBeGreaterThanOrEqual(0.45 * total);
    expect(campaign).toBeLessThanOrEqual(0.55 * total);
    expect(campaign + bulk).toBeGreaterThanOrEqual(total - 1);
  });

  it('shares the fourth of bulk while transactional mail is parked, and has all of it when no other bulk is', async () => {
    await park('transactional', 2_000);
    const alone = await run(ratesOf('20/s'), start, 10_000, always);
    expect(alone.campaign).toBeGreaterThanOrEqual(48);
    expect(alone.campaign).toBeLessThanOrEqual(52);
    await park('bulk', 2_000);
    const sent = await run(ratesOf('20/s'), start + 10_000, 10_000, always);
    expect(sent.transactional).toBeGreaterThanOrEqual(147);
    expect(sent.bulk).toBeGreaterThanOrEqual(23);
    expect(sent.campaign).toBeGreaterThanOrEqual(23);
  });

  it('takes nothing from others when it asks no more', async () => {
    await park('bulk', 2_000);
    const untilNow = start + 5_000;
    await run(ratesOf('20/s'), start, 5_000, always);
    await run(ratesOf('20/s'), untilNow, 3_000, never);
    const { bulk } = await run(ratesOf('20/s'), untilNow + 3_000, 5_000, never);
    expect(bulk).toBeGreaterThanOrEqual(99);
  });

  it('gives tokens that were set aside and not used back to the quota', async () => {
    await park('bulk', 2_000);
    const first = await run(ratesOf('100/h'), start, 1_000, always);
    expect(first.campaign).toBeGreaterThan(0);
    const later = await run(ratesOf('100/h'), start + 1_000, 10_000, never);
    expect(first.campaign + first.bulk + later.bulk).toBe(100);
  });

  it('gives it back also when its mail moves to another transport meanwhile', async () => {
    const rates = ratesOf('100/h');
    await park('bulk', 50);
    await run(rates, start, 2 * stepMs, atStart);
    const [before] = await budgets.left('ses', rates, start);
    await budgets.unpark('ses', rates, start + 3_000);
    await budgets.release('ses', rates, {}, start + 4_000);
    const [after] = await budgets.left('ses', rates, start + 4_000);
    expect(after?.remaining).toBeGreaterThan(before?.remaining ?? 100);
  });

  it('uses no token of a window that is over', async () => {
    const rates = ratesOf('6000/h');
    await park('bulk', 9_000);
    await run(rates, start, 2 * stepMs, atStart);
    const later = start + 2 * hourMs;
    const asking = Array.from({ length: 200 }, () => emailAt(later, 'bulk', true));
    const first = (await budgets.admit('ses', rates, asking, later)).filter(Boolean).length;
    const { bulk, campaign } = await run(rates, later + stepMs, 6_000, () => 100);
    expect(first + bulk + campaign).toBe(6_000);
  });

  it('gives nothing back to a window that has begun since', async () => {
    const rates = ratesOf('6000/h');
    await park('bulk', 200);
    await run(rates, start, 2 * stepMs, atStart);
    await redis.del(keys.parked('ses', 'bulk'));
    const later = start + 2 * hourMs;
    const codes = Array.from({ length: 7_000 }, () => emailAt(later, 'transactional'));
    const direct = (await budgets.admit('ses', rates, codes, later)).filter(Boolean).length;
    for (const now of [later + 500, later + 1_000]) await budgets.release('ses', rates, {}, now);
    expect(direct + (await sendReleased(later + 1_000, 'transactional'))).toBe(6_000);
  });

  it('gives none of them back once the first is a window old: it would be one that others have used since', async () => {
    const rates = ratesOf('120/m');
    const admitted = async (now: number) => {
      const emails = Array.from({ length: 120 }, () => emailAt(now, 'transactional'));
      const may = await budgets.admit('ses', rates, emails, now);
      await redis.del(keys.parked('ses', 'transactional'));
      return may.filter(Boolean).length;
    };
    await park('bulk', 20);
    await run(rates, start, 2 * stepMs, atStart);
    expect((await budgets.left('ses', rates, start + 2 * stepMs))[0]?.remaining).toBeLessThan(120);
    await redis.del(keys.parked('ses', 'bulk'));
    // In the next of the 60 parts of the window, and in the one in which the first is free again.
    const direct = await admitted(start + 1_500);
    const last = await admitted(start + 61_000);
    expect(direct + last).toBe(120);
  });

  it('gives them back to the part of the window they were taken from, not to what others have used since', async () => {
    const rates = ratesOf('120/m');
    const admitted = async (count: number, now: number, lane: Lane = 'transactional', isOfCampaign = false) => {
      const emails = Array.from({ length: count }, () => emailAt(now, lane, isOfCampaign));
      return (await budgets.admit('ses', rates, emails, now)).filter(Boolean).length;
    };
    const remaining = async (now: number) => (await budgets.left('ses', rates, now))[0]?.remaining;
    await park('bulk', 20);
    expect(await admitted(1, start + 900, 'bulk', true)).toBe(0);
    await budgets.release('ses', rates, {}, start + 950);
    const early = await sendReleased(start + 950, 'bulk');
    expect(await remaining(start + 950)).toBeLessThan(120 - early);
    await redis.del(keys.parked('ses', 'bulk'));
    // The next of the 60 parts of the window.
    const later = await admitted(50, start + 1_000);
    const rest = 120 - early - later;
    expect(await admitted(rest, start + 2_900)).toBe(rest);
    const last = await admitted(120, start + 61_000);
    expect(later + rest + last).toBe(120);
  });

  it('gives them back there also when it asked again after they were taken, and left some of them', async () => {
    const rates = ratesOf('600/m');
    const admitted = async (count: number, now: number, isOfCampaign = false) => {
      const lane = isOfCampaign ? 'bulk' : 'transactional';
      const emails = Array.from({ length: count }, () => emailAt(now, lane, isOfCampaign));
      const may = await budgets.admit('ses', rates, emails, now);
      await redis.del(keys.parked('ses', 'transactional'));
      return may.filter(Boolean).length;
    };
    await park('bulk', 20);
    expect(await admitted(1, start + 900, true)).toBe(0);
    await budgets.release('ses', rates, {}, start + 950);
    const early = await sendReleased(start + 950, 'bulk');
    const left = (await budgets.left('ses', rates, start + 950))[0]?.remaining ?? 0;
    // In the next of the 60 parts of the window it uses one of several.
    expect(600 - early - left).toBeGreaterThan(1);
    const later = await admitted(1, start + 1_000, true);
    expect(later).toBe(1);
    await redis.del(keys.parked('ses', 'bulk'));
    const direct = await admitted(600, start + 1_500);
    const rest = await admitted(600, start + 3_100);
    const last = await admitted(600, start + 61_000);
    expect(direct + rest + last).toBeLessThanOrEqual(600);
  });

  it('has set aside for it no more than a tenth of a second is worth, and nothing while bulk has no place', async () => {
    await park('bulk', 2_000);
    const rates = ratesOf('20/s');
    await run(rates, start, 1_500, atStart);
    const asking = Array.from({ length: 100 }, () => emailAt(start + 1_500, 'bulk', true));
    expect((await budgets.admit('ses', rates, asking, start + 1_500)).filter(Boolean)).toHaveLength(2);
    await park('transactional', 100);
    for (let now = start + 1_550; now < start + 3_000; now += stepMs)
      await budgets.release('ses', rates, { bulk: 0 }, now);
    expect((await budgets.admit('ses', rates, asking, start + 3_000)).filter(Boolean)).toHaveLength(0);
  });

  it('goes at no time faster than the rate, also when it asks rarely', async () => {
    await park('bulk', 2_000);
    const rarely = (now: number) => (now % 1_500 === 0 ? 100 : 0);
    for (let second = 0; second < 20; second++) {
      const { bulk, campaign } = await run(ratesOf('20/s'), start + second * 1_000, 1_000, rarely);
      expect(bulk + campaign).toBeLessThanOrEqual(24);
    }
  });
});
