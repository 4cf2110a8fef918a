/** check-back-pressure over a real Redis: what counts as waiting, each lane by itself, and when somebody is told. */
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import type { LimitPassed } from '../../src/domain/back-pressure.ts';
import { type Lane, lanes } from '../../src/domain/lane.ts';
import { checkBackPressure, type Pressure } from '../../src/pipeline/check-back-pressure.ts';
import type { SeenRedis } from '../../src/pipeline/check-redis.ts';
import { type DeliverQueues, openDeliverQueues } from '../../src/queue/deliver-queue.ts';
import { keys, queuePrefix } from '../../src/store/keys.ts';
import { storeOver, type TestStore } from '../support/store.ts';
import { useTestRedis } from '../support/use-redis.ts';

const now = Date.now();
let redis: Redis;
let store: TestStore['store'];
let deliverQueues: DeliverQueues;
useTestRedis(async (server, opened) => {
  redis = server.connect();
  store = await storeOver(redis);
  deliverQueues = opened.use(openDeliverQueues({ redis: server.connect(), prefix: queuePrefix }));
});

/** With a line of two emails. */
function open(seenRedis: SeenRedis = { standing: null }) {
  const pressure: Pressure = { passed: null };
  const told: (readonly Lane[] | null)[] = [];
  const report = (over: LimitPassed | null) => void told.push(over?.lanes ?? null);
  const limits = { waitingEmails: 2, redisMemory: { percent: 100 } };
  const check = async () => {
    await checkBackPressure({ ...store, deliverQueues, limits, seenRedis, pressure, report, now: () => now });
    return pressure.passed;
  };
  return { check, told };
}

const addDue = (lane: Lane, id: string, at = now) => redis.zadd(keys.due(lane), at, id);
const addAgain = (lane: Lane, id: string) => redis.zadd(keys.again(lane), now + 3_600_000, id);
const addJob = (lane: Lane, id: string) => deliverQueues[lane].add([{ id, emails: [id] }], now);

it.each(lanes)('mail that is due, is retried later or is a job in the queue counts in its lane: %s', async (lane) => {
  const reason = `2 ${lane} emails are waiting, the limit is 2 (MAX_WAITING_EMAILS)`;
  const ways = [addDue, addAgain, addJob];
  for (const first of ways)
    for (const second of ways) {
      await redis.flushall();
      const { check } = open();
      await first(lane, 'em_1');
      expect(await check()).toBeNull();
      await second(lane, 'em_2');
      expect(await check()).toEqual({ lanes: [lane], reason });
    }
});

it('one of each lane is not two of one, and what is scheduled for later does not count', async () => {
  for (const lane of lanes) {
    await addDue(lane, 'em_1');
    for (const id of ['em_2', 'em_3']) await addDue(lane, id, now + 1);
  }
  expect(await open().check()).toBeNull();
});

it('the log says when mail of other lanes is refused than before, and once when all mail is accepted again', async () => {
  const { check, told } = open();
  await check();
  for (const id of ['em_1', 'em_2', 'em_3']) {
    await addDue('bulk', id);
    await check();
  }
  for (const id of ['em_4', 'em_5']) await addJob('transactional', id);
  for (let n = 0; n < 2; n++) await check();
  await redis.flushall();
  for (let n = 0; n < 2; n++) await check();
  expect(told).toEqual([['bulk'], ['transactional', 'bulk'], null]);
});

it('with a Redis that may lose mail that was answered 202, no lane accepts mail', async () => {
  const unfit = 'it may forget';
  const { check } = open({
    standing: {
      server: 'Redis',
      guarantee: 'none',
      words: '',
      isSound: false,
      isWritable: true,
      unfit,
      unfitToStart: null,
    },
  });
  expect(await check()).toEqual({ lanes, reason: unfit });
});
