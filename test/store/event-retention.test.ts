/** What is forgotten, and when: events by age and number, but none that is not yet notified; deliveries by age. */
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { sweepEvents } from '../../src/pipeline/sweep-events.ts';
import { type EventRetention, openEventRetention } from '../../src/store/event-retention.ts';
import { keys } from '../../src/store/keys.ts';
import { openOutbox } from '../../src/store/outbox.ts';
import { openConsumer } from '../support/consumer.ts';
import { day, openPosting } from '../support/posting.ts';
import { openTestRedis, type TestRedis } from '../support/redis.ts';

const opened = new AsyncDisposableStack();
let server: TestRedis;
let redis: Redis;
let retention: EventRetention;
beforeAll(async () => {
  server = opened.use(await openTestRedis());
  redis = server.connect();
  retention = openEventRetention(redis);
});
afterAll(() => opened.disposeAsync());
beforeEach(() => redis.flushall());

const never = new AbortController().signal;
const openReader = () =>
  openOutbox(
    redis,
    opened.adopt(redis.duplicate(), (client) => client.disconnect()),
    randomBytes(4).toString('hex'),
    60_000,
  );
/** Events at these milliseconds. */
const add = async (...times: number[]) => {
  for (const ms of times) await redis.xadd(keys.outbox, `${ms}-1`, 'event', '{}');
};
const kept = async () => (await redis.xrange(keys.outbox, '-', '+')).map(([place]) => Number(place.split('-')[0]));

it('events from before the time are trimmed, once they are notified', async () => {
  const outbox = await openReader();
  await add(10, 20, 30, 40);
  await retention.trimEvents(35, 100);
  expect(await kept()).toEqual([10, 20, 30, 40]);
  const entries = await outbox.next(3, never);
  await outbox.acknowledge(entries.slice(0, 1));
  await retention.trimEvents(35, 100);
  expect(await kept()).toEqual([20, 30, 40]);
  await outbox.acknowledge(entries);
  await retention.trimEvents(1_000, 100);
  // The last one that was read stays with those that were not.
  expect(await kept()).toEqual([30, 40]);
});

it('the oldest of too many are trimmed, but none that is not yet notified', async () => {
  const outbox = await openReader();
  await add(...Array.from({ length: 20 }, (_, n) => n + 1));
  await outbox.acknowledge(await outbox.next(10, never));
  await retention.trimEvents(0, 15);
  expect(await kept()).toHaveLength(15);
  await retention.trimEvents(0, 2);
  expect((await kept())[0]).toBe(10);
});

it('many are trimmed in steps', async () => {
  const outbox = await openReader();
  const write = redis.pipeline();
  for (let n = 0; n < 12_000; n++) write.xadd(keys.outbox, `5-${n + 1}`, 'event', '{}');
  await write.exec();
  for (let n = 0; n < 3; n++) await outbox.acknowledge(await outbox.next(5_000, never));
  const more = [
    await retention.trimEvents(100, 1e9),
    await retention.trimEvents(100, 1e9),
    await retention.trimEvents(100, 1e9),
  ];
  expect([more, await kept()]).toEqual([[true, true, false], [5]]);
});

it('ended deliveries are removed by age, those that are retried stay', async () => {
  await using consumer = await openConsumer((n) => ({ status: n === 1 ? 500 : 200, body: 'no' }));
  await using line = await openPosting(server);
  const { id } = await line.addWebhook({ endpoint: consumer.url });
  await line.emit(1);
  await line.notifyAll();
  await line.forwardAll();
  await line.emit(2);
  await line.notifyAll();
  await line.forwardAll();
  await retention.forgetDeliveries(id, line.now);
  expect((await line.deliveries.page(id, { limit: 10 })).page).toHaveLength(3);
  await retention.forgetDeliveries(id, line.now + day);
  expect((await line.deliveries.page(id, { limit: 10 })).page).toMatchObject([{ status: 'pending' }]);
  expect(await redis.hlen(keys.answers(id))).toBe(0);
});

it('events that cannot be removed now are reported, and hold up nothing else', async () => {
  await using consumer = await openConsumer(() => ({ status: 200 }));
  await using line = await openPosting(server);
  const ids = [await line.addWebhook({ endpoint: consumer.url }), await line.addWebhook({ endpoint: consumer.url })];
  await line.emit(1);
  await line.notifyAll();
  await line.forwardAll();
  const listeners = await line.webhooks.listeners();
  const [stuck] = listeners;
  const eventRetention: EventRetention = {
    trimEvents: () => Promise.reject(new Error('no events')),
    forgetDeliveries: async (id, before) => {
      if (id === stuck?.id) throw new Error('none of this endpoint');
      return retention.forgetDeliveries(id, before);
    },
  };
  const troubles: unknown[] = [];
  const onTrouble = (...told: unknown[]) => troubles.push(told);
  const keep = { eventsMs: 0, events: 0 };
  const reportLost = (told: unknown) => troubles.push(told);
  await sweepEvents({ ...line, eventRetention, keep, reportLost, onTrouble, now: () => line.now + day }, never);
  expect(troubles).toEqual(['no events', 'none of this endpoint'].map((words) => ['sweep', new Error(words)]));
  const left = await Promise.all(ids.map(async ({ id }) => (await line.deliveries.page(id, { limit: 1 })).page.length));
  expect(left.toSorted()).toEqual([0, 1]);
});
