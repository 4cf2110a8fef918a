/** Who goes and who waits for a transport: places among the parked, and what comes of those that were moved or cancelled meanwhile. */
import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import type { Lane } from '../../src/domain/lane.ts';
import type { Rate } from '../../src/domain/rate.ts';
import { type Budgets, type DueEmail, openBudgets } from '../../src/store/budgets.ts';
import { keys } from '../../src/store/keys.ts';
import { scriptsRun } from '../support/scripts-run.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
let budgets: Budgets;
useTestRedis((server) => {
  redis = server.connect();
  budgets = openBudgets(redis);
});

const now = 1_700_000_000_000;
const endsAt = now + 86_400_000;
/** One at a time, a second apart. */
const slow: readonly Rate[] = [{ count: 1, windowMs: 1_000 }];
const fast: readonly Rate[] = [{ count: 500, windowMs: 1_000 }];
const most = { max: 500 };

function email(id: string, lane: Lane = 'transactional', dueAt = now): DueEmail {
  return { id, lane, dueAt, endsAt };
}

const parked = (lane: Lane) => redis.zrange(keys.parked('ses', lane), '0', '-1');
const markOf = async (id: string, lane: Lane = 'transactional') => Number(await redis.zscore(keys.again(lane), id));

/** Ids that are due by then, in the order of their release. */
async function dueBy(at: number): Promise<string[]> {
  const due = await Promise.all((['transactional', 'bulk'] as const).map((lane) => dueOf(lane, at)));
  return due.flat();
}

const dueOf = (lane: Lane, at: number) => redis.zrangebyscore(keys.again(lane), '-inf', at);

it('a transport is noted as long as mail is parked for it, and noted again with the next mail', async () => {
  await budgets.park('ses', [email('a')], now);
  await budgets.admit('other', [], [email('d')], now);
  expect(await budgets.parkedFor()).toEqual(['ses']);
  await budgets.release('ses', [], most, now);
  expect(await budgets.parkedFor()).toEqual([]);
  expect(await budgets.admit('ses', slow, [email('b'), email('c')], now)).toEqual([true, false]);
  expect(await budgets.parkedFor()).toEqual(['ses']);
  await budgets.unpark('ses', slow, now);
  expect(await budgets.parkedFor()).toEqual([]);
});

it('permits are removed once they have lapsed, also those of a transport that no longer exists', async () => {
  await budgets.park('ses', [email('a')], now);
  await budgets.release('ses', slow, most, now);
  expect(await redis.zcard(keys.permits('ses'))).toBe(1);
  expect(await redis.pttl(keys.permits('ses'))).toBeGreaterThan(60_000);
});

describe('admit', () => {
  it('lets go while there are tokens, and parks the rest until the end of their time', async () => {
    const emails = [email('a'), email('b'), email('c', 'bulk')];
    expect(await budgets.admit('ses', slow, emails, now)).toEqual([true, false, false]);
    expect([await parked('transactional'), await parked('bulk')]).toEqual([['b'], ['c']]);
    expect(Math.floor(await markOf('b'))).toBe(endsAt);
    expect(await markOf('a')).toBe(0);
    expect(await budgets.countParked(['ses', 'other'])).toEqual(
      new Map([
        ['ses', { transactional: 1, bulk: 1 }],
        ['other', { transactional: 0, bulk: 0 }],
      ]),
    );
    expect(await budgets.admit('ses', [], [email('d', 'transactional', now - 1)], now)).toEqual([true]);
  });

  it('lets no email pass that was due later, except transactional mail, which passes bulk', async () => {
    await budgets.park('ses', [email('a', 'bulk')], now);
    expect(await budgets.admit('ses', fast, [email('b', 'bulk', now + 1)], now + 1)).toEqual([false]);
    expect(await budgets.admit('ses', fast, [email('c', 'transactional', now + 2)], now + 2)).toEqual([true]);
    expect(await budgets.admit('ses', fast, [email('d', 'bulk', now - 1)], now + 2)).toEqual([true]);
    await budgets.park('ses', [email('e')], now);
    expect(await budgets.admit('ses', fast, [email('f', 'bulk', now - 1)], now + 2)).toEqual([false]);
    expect(await parked('bulk')).toEqual(['f', 'a', 'b']);
  });

  it('lets the first of the parked go that asks again, and has it parked no longer', async () => {
    await budgets.park('ses', [email('a'), email('b')], now);
    expect(await budgets.admit('ses', fast, [email('b'), email('a')], now)).toEqual([false, true]);
    expect(await parked('transactional')).toEqual(['b']);
    expect(await markOf('a')).toBe(0);
    expect(await budgets.admit('ses', fast, [email('c'), email('b'), email('d')], now)).toEqual([false, true, false]);
    await budgets.park('ses2', [email('a')], now);
    const asked = [email('b'), email('a'), email('b'), email('c')];
    expect(await budgets.admit('ses2', fast, asked, now)).toEqual([false, true, true, true]);
  });

  it('answers each of those that ask in one turn, in one command', async () => {
    const before = await scriptsRun(redis);
    const asked = ['a', 'b', 'c', 'd'].map((id) => budgets.admit('ses', slow, [email(id), email(`${id}2`)], now));
    expect(await Promise.all(asked)).toEqual([[true, false], ...Array.from({ length: 3 }, () => [false, false])]);
    expect((await scriptsRun(redis)) - before).toBe(1);
    expect(await parked('transactional')).toEqual(['a2', 'b', 'b2', 'c', 'c2', 'd', 'd2']);
  });
});

describe('release', () => {
  it('lets go as many as there are tokens for, each with a permit that is used once, and rings the bell', async () => {
    await budgets.park('ses', [email('a'), email('b')], now);
    expect(await budgets.release('ses', slow, most, now)).toEqual({ released: 1, left: 1, nextAt: now + 1_000 });
    expect(await dueBy(now)).toEqual(['a']);
    expect(await redis.llen(keys.bell)).toBe(1);
    expect(await budgets.release('ses', slow, most, now + 1)).toMatchObject({ released: 0, nextAt: now + 1_000 });
    // It took its token already: there is none for another.
    expect(await budgets.admit('ses', slow, [email('a')], now + 1)).toEqual([true]);
    expect(await budgets.admit('ses', slow, [email('a')], now + 1)).toEqual([false]);
    expect(await budgets.release('ses', slow, most, now + 1_000)).toMatchObject({ released: 1, left: 1 });
    expect(await redis.llen(keys.bell)).toBe(1);
  });

  it('takes transactional first, and one of bulk in four while both wait, over several releases', async () => {
    const all = (lane: Lane) => Array.from({ length: 9 }, (_, n) => email(`${lane[0]}${n}`, lane, now + n));
    await budgets.park('ses', [...all('bulk'), ...all('transactional')], now);
    const order: string[] = [];
    for (let n = 0; n < 18; n++) {
      await budgets.release('ses', slow, most, now + n * 1_000);
      order.push(...(await dueBy(now + n * 1_000)));
      await redis.del(keys.permits('ses'));
      await redis.zremrangebyscore(keys.again('bulk'), '-inf', now + n * 1_000);
      await redis.zremrangebyscore(keys.again('transactional'), '-inf', now + n * 1_000);
    }
    expect(order.join(' ')).toBe('t0 t1 t2 b0 t3 t4 t5 b1 t6 t7 t8 b2 b3 b4 b5 b6 b7 b8');
  });

  it('without rates lets all go on, so many at a time, without permits', async () => {
    await budgets.park(
      'ses',
      Array.from({ length: 700 }, (_, n) => email(`e${n}`, 'bulk', now + n)),
      now,
    );
    expect(await budgets.release('ses', [], { max: 100 }, now)).toEqual({ released: 100, left: 600, nextAt: now });
    expect(await budgets.release('ses', [], { max: 10_000 }, now)).toEqual({ released: 500, left: 100, nextAt: now });
    expect(await budgets.release('ses', [], most, now)).toEqual({ released: 100, left: 0, nextAt: null });
    expect(await budgets.release('ses', [], most, now)).toEqual({ released: 0, left: 0, nextAt: null });
    expect(await dueBy(now)).toHaveLength(700);
    expect(await redis.zcard(keys.permits('ses'))).toBe(0);
    await budgets.park(
      'gone',
      Array.from({ length: 1_200 }, (_, n) => email(`g${n}`, 'bulk')),
      now,
    );
    expect(await budgets.unpark('gone', [], now)).toBe(true);
    expect(await dueBy(now)).toHaveLength(1_900);
  });

  it('holds back while there are unused permits, until they lapse', async () => {
    const rates = [{ count: 5, windowMs: 1_000 }];
    await budgets.park(
      'ses',
      Array.from({ length: 200 }, (_, n) => email(`e${n}`, 'bulk', now + n)),
      now,
    );
    let released = 0;
    for (let second = 0; second < 59; second++)
      released += (await budgets.release('ses', rates, most, now + second * 1_000)).released;
    expect(released).toBe(5);
    const { nextAt } = await budgets.release('ses', rates, most, now + 59_000);
    expect(nextAt).toBe(now + 59_100);
    expect((await budgets.release('ses', rates, most, now + 60_000)).released).toBeGreaterThan(0);
    // What has lapsed is good no longer: who comes late has its place back, and waits for a token like everybody.
    expect(await budgets.admit('ses', rates, [email('e0', 'bulk', now)], now + 60_000)).toEqual([false]);
    expect(await budgets.whereParked('ses', 'e0', 'bulk')).toEqual({ since: now, ahead: 0 });
    expect((await budgets.release('ses', rates, most, now - 3_600_000)).released).toBeGreaterThan(0);
  });

  it('gives permits for a minute: an email that comes later needs a token like all others', async () => {
    await budgets.park('ses', [email('a'), email('b')], now);
    await budgets.release('ses', slow, most, now);
    await budgets.release('ses', slow, most, now + 1_000);
    const [other, early, late] = [email('c'), email('a'), email('b')];
    expect(await budgets.admit('ses', slow, [other, early], now + 59_999)).toEqual([true, true]);
    expect(await budgets.admit('ses', slow, [email('d'), late], now + 61_000)).toEqual([true, false]);
  });

  it('takes no token for those that were cancelled, moved or looked at meanwhile, and leaves their marks as they are', async () => {
    const emails = ['cancelled', 'moved', 'over', 'stays'].map((id, n) => email(id, 'bulk', now + n));
    await budgets.park('ses', emails, now);
    await redis.zrem(keys.again('bulk'), 'cancelled');
    await redis.zadd(keys.again('bulk'), now + 5_000, 'moved', now - 0.5, 'over');
    expect(await budgets.release('ses', slow, most, now)).toEqual({ released: 1, left: 0, nextAt: null });
    expect([await markOf('moved', 'bulk'), await markOf('over', 'bulk')]).toEqual([now + 5_000, now - 0.5]);
    expect(await redis.zrange(keys.permits('ses'), '0', '-1')).toEqual(['stays']);
  });

  it('gets through any number of cancelled ones without looking at all of them at once', async () => {
    const emails = Array.from({ length: 5_000 }, (_, n) => email(`e${n}`, 'bulk', now + n));
    await budgets.park('ses', emails, now);
    await redis.del(keys.again('bulk'));
    await budgets.park('ses', [email('last', 'bulk', now + 9_999)], now);
    expect(await budgets.release('ses', slow, most, now)).toEqual({ released: 0, left: 3_001, nextAt: now });
    expect(await budgets.release('ses', slow, most, now)).toEqual({ released: 0, left: 1_001, nextAt: now });
    expect(await budgets.release('ses', slow, most, now)).toEqual({ released: 1, left: 0, nextAt: null });
  });
});

describe('the parked', () => {
  it('keep their place however often they are released and parked again', async () => {
    await budgets.park('ses', [email('a', 'bulk', now), email('b', 'bulk', now + 1), email('c', 'bulk', now + 2)], now);
    await budgets.release('ses', slow, most, now);
    await budgets.park('ses', [email('a', 'bulk', now)], now + 5_000);
    expect(await budgets.whereParked('ses', 'a', 'bulk')).toEqual({ since: now, ahead: 0 });
    expect(await budgets.whereParked('ses', 'c', 'bulk')).toEqual({ since: now + 2, ahead: 2 });
    expect(await budgets.whereParked('ses', 'c', 'transactional')).toBeNull();
    // Its permit is void: it was not used.
    expect(await redis.zcard(keys.permits('ses'))).toBe(0);
  });

  it('use up no quota, however often they are released and parked again; of a rate per second a turn is over', async () => {
    const rates = [...slow, { count: 120, windowMs: 86_400_000 }];
    const left = async (at: number) => (await budgets.left('ses', rates, at)).map(({ remaining }) => remaining);
    await budgets.park('ses', [email('a', 'bulk')], now, rates);
    for (let second = 0; second < 10; second++) {
      const at = now + second * 1_000;
      expect(await budgets.release('ses', rates, most, at)).toMatchObject({ released: 1 });
      expect(await left(at)).toEqual([null, 119]);
      await budgets.park('ses', [email('a', 'bulk')], at, rates);
      expect(await left(at)).toEqual([null, 120]);
      expect(await budgets.release('ses', rates, most, at)).toMatchObject({ released: 0 });
    }
  });

  it('can be forgotten, with the permit they have', async () => {
    await budgets.park('ses', [email('a'), email('b')], now);
    await budgets.release('ses', slow, most, now);
    await budgets.forget('ses', 'a', 'transactional');
    await budgets.forget('ses', 'b', 'transactional');
    expect(await parked('transactional')).toEqual([]);
    expect(await redis.zcard(keys.permits('ses'))).toBe(0);
  });
});
