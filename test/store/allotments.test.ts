/** Connections of a transport over the fleet: never more than there are, in fair shares, whatever workers come, go and want. */
import fc from 'fast-check';
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { type Allotments, openAllotments } from '../../src/store/allotments.ts';
import { keys } from '../../src/store/keys.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
let allotments: Allotments;
useTestRedis(async (server) => {
  redis = server.connect();
  await redis.config('SET', 'appendfsync', 'no');
  allotments = openAllotments(redis);
});

const start = 1_700_000_000_000;

/** A worker that opens all it may have and wants, and closes at once what it may not. */
function openWorker(name: string) {
  const worker = { open: 0, may: 0 };
  return {
    ...{ worker, name },
    async report(wanted: number, limit: number, now: number): Promise<number> {
      const report = { wanted, open: worker.open, busy: worker.open, waiting: 1, hanging: 0 };
      worker.may = await allotments.allot('ses', name, report, limit, now);
      worker.open = Math.min(worker.may, Math.max(wanted, worker.open));
      return worker.may;
    },
  };
}

it('one worker has them all; another gets its half once the first has closed the excess', async () => {
  const [a, b] = [openWorker('a'), openWorker('b')];
  expect(await a.report(3, 10, start)).toBe(10);
  expect(await a.report(50, 10, start)).toBe(10);
  expect(await b.report(50, 10, start + 100)).toBe(0);
  expect(await a.report(50, 10, start + 200)).toBe(5);
  // It may have opened one since it reported: that it has no more is known when it reports again.
  expect(await b.report(50, 10, start + 300)).toBe(0);
  expect(await a.report(50, 10, start + 400)).toBe(5);
  expect(await b.report(50, 10, start + 500)).toBe(5);
});

it('a worker that wants little leaves the rest to others, and keeps one connection for mail to come', async () => {
  const workers = ['a', 'b', 'c'].map(openWorker);
  const wants = [0, 3, 50];
  for (let round = 0; round < 5; round++)
    for (const [n, worker] of workers.entries()) await worker.report(wants[n] ?? 0, 10, start + round);
  expect(workers.map(({ worker }) => worker.may)).toEqual([1, 3, 6]);
});

it('a worker that comes while another uses them all gets one, also when it wants none yet', async () => {
  const [a, b] = [openWorker('a'), openWorker('b')];
  for (let round = 0; round < 4; round++) {
    await a.report(50, 10, start + round);
    await b.report(0, 10, start + round);
  }
  expect([a.worker.may, b.worker.may]).toEqual([9, 1]);
});

it('with fewer connections than workers some workers have them all, and no worker opens one that makes another close', async () => {
  const workers = ['a', 'b', 'c'].map(openWorker);
  const seen: number[][] = [];
  for (let round = 0; round < 6; round++) {
    for (const worker of workers) await worker.report(9, 2, start + round);
    seen.push(workers.map(({ worker }) => worker.may));
  }
  expect(seen[0]).toEqual([2, 0, 0]);
  expect(seen.slice(3)).toEqual(Array.from({ length: 3 }, () => [1, 1, 0]));
});

it('a worker that is not heard of for three seconds is forgotten, one that leaves at once', async () => {
  const [a, b] = [openWorker('a'), openWorker('b')];
  await a.report(10, 10, start);
  for (const ms of [1_500, 3_000]) expect(await b.report(10, 10, start + ms)).toBe(0);
  expect(await b.report(10, 10, start + 3_001)).toBe(10);
  await allotments.leave(['ses'], 'b');
  expect(await a.report(10, 10, start + 3_002)).toBe(10);
  // A clock that was put back does not keep the dead alive.
  const c = openWorker('c');
  for (const ms of [0, 1_500]) expect(await c.report(10, 10, start - 3_600_000 + ms)).toBe(0);
  expect(await c.report(10, 10, start - 3_600_000 + 3_001)).toBe(10);
});

it('no worker is forgotten for the time in which none could report, and a report that waited all that time is as good as any', async () => {
  const [a, b] = [openWorker('a'), openWorker('b')];
  for (let round = 0; round < 4; round++) for (const worker of [a, b]) await worker.report(10, 10, start + round);
  expect(await redis.pttl(keys.allotments('ses'))).toBeGreaterThan(600_000);
  expect(await a.report(10, 10, start + 60_000)).toBe(5);
  expect(await b.report(10, 10, start + 1_000)).toBe(5);
  expect(await a.report(10, 10, start + 61_000)).toBe(5);
  // Now it could have reported for long enough.
  for (const ms of [62_500, 64_000]) expect(await a.report(10, 10, start + ms)).toBe(5);
  expect(await a.report(10, 10, start + 64_001)).toBe(10);
});

it('a lower limit closes what is above it, and no worker loses all for it', async () => {
  const [a, b] = [openWorker('a'), openWorker('b')];
  for (let round = 0; round < 4; round++) for (const worker of [a, b]) await worker.report(10, 10, start + round);
  expect(await a.report(10, 4, start + 10)).toBe(2);
  expect(await b.report(10, 4, start + 11)).toBe(2);
  expect(await a.report(10, 4, start + 12)).toBe(2);
});

it('the owner of an indivisible rest is settled at once: no worker reopens a connection that it closed for another', async () => {
  const workers = ['a', 'b', 'c'].map(openWorker);
  for (let round = 0; round < 4; round++)
    for (const worker of workers.slice(0, 2)) await worker.report(50, 10, start + round);
  const seen: number[][] = [];
  for (let round = 4; round < 8; round++) {
    for (const worker of workers) await worker.report(50, 10, start + round);
    seen.push(workers.map(({ worker }) => worker.may));
  }
  expect(seen).toEqual([
    [5, 5, 0],
    [4, 3, 0],
    [4, 3, 3],
    [4, 3, 3],
  ]);
});

it('never is more open than the limit, and when wants stay, all of it is shared out in four reports and stays so', async () => {
  // Forty turns pass within three seconds: nobody is forgotten who still has connections.
  const turn = fc.record({ who: fc.nat({ max: 4 }), wanted: fc.nat({ max: 30 }), waitMs: fc.nat({ max: 75 }) });
  const lasting = fc.array(fc.nat({ max: 30 }), { minLength: 5, maxLength: 5 });
  const limits = fc.integer({ min: 1, max: 12 });
  await fc.assert(
    fc.asyncProperty(limits, fc.array(turn, { maxLength: 40 }), lasting, async (limit, turns, wants) => {
      await redis.flushall();
      const workers = ['a', 'b', 'c', 'd', 'e'].map(openWorker);
      let now = start;
      const total = (of: 'open' | 'may') => workers.reduce((sum, { worker }) => sum + worker[of], 0);
      const report = async (who: number, wanted: number) => {
        await workers[who]?.report(wanted, limit, now);
        expect(total('open')).toBeLessThanOrEqual(limit);
        expect(total('may')).toBeLessThanOrEqual(limit);
      };
      for (const { who, wanted, waitMs } of turns) {
        now += waitMs;
        await report(who, wanted);
      }
      const sharesAfter = async (rounds: number) => {
        for (let round = 0; round < rounds; round++)
          for (const [who, wanted] of wants.entries()) await report(who, wanted);
        return workers.map(({ worker }) => worker.may);
      };
      const shares = await sharesAfter(4);
      expect(total('may')).toBe(limit);
      // Only who has what it wants may have less than another by more than one.
      const short = shares.filter((share, who) => share < Math.max(1, wants[who] ?? 0));
      expect(Math.min(...short)).toBeGreaterThanOrEqual(Math.max(...shares) - 1);
      expect(await sharesAfter(1)).toEqual(shares);
    }),
    { numRuns: 40 },
  );
});

it('adds up the pools of all live workers', async () => {
  await allotments.allot('ses', 'a', { wanted: 5, open: 4, busy: 3, waiting: 7, hanging: 3 }, 10, start);
  await allotments.allot('ses', 'b', { wanted: 5, open: 1, busy: 1, waiting: 0, hanging: 0 }, 10, start + 1_000);
  const pools = await allotments.pools(['ses', 'other'], start + 1_000);
  expect(pools.get('ses')).toEqual({ workers: 2, open: 5, busy: 4, waiting: 7, hanging: 3 });
  expect(pools.get('other')).toEqual({ workers: 0, open: 0, busy: 0, waiting: 0, hanging: 0 });
  expect((await allotments.pools(['ses'], start + 3_500)).get('ses')).toMatchObject({ workers: 1, open: 1 });
});

it('a worker that died is forgotten also where the only other one reports seldom', async () => {
  const dead = openWorker('dead');
  await dead.report(10, 10, start);
  const slow = openWorker('slow');
  for (let round = 1; round <= 6; round++) await slow.report(10, 10, start + round * 2_500);
  expect(slow.worker.may).toBe(10);
});
