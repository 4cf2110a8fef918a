/** Batches, over a real Redis and real sockets: they stay what they are, unless they are too large for who gets them. */
import { beforeEach, describe, expect, it } from 'vitest';
import { keys } from '../../src/store/keys.ts';
import { type Consumer, openConsumer } from '../support/consumer.ts';
import { hour, minute, openPosting, type Posting, second } from '../support/posting.ts';
import type { TestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { useTestRedis } from '../support/use-redis.ts';

let server: TestRedis;
let line: Posting;
useTestRedis((own) => {
  server = own;
});
beforeEach(async () => {
  line = await openPosting(server);
  return () => line[Symbol.asyncDispose]();
});

describe('a batch', () => {
  it('waits for its time or until it is full, and stays the same when it is tried again', async () => {
    let status = 500;
    await using consumer = await openConsumer(() => ({ status }));
    await line.addWebhook({ endpoint: consumer.url, batch: { max_events: 3, max_wait_ms: 10_000 } });
    const ids = await line.emit(2);
    await line.notifyAll();
    await line.forwardAll();
    expect(consumer.calls).toHaveLength(0);
    ids.push(...(await line.emit(3)));
    await line.notifyAll();
    await line.forwardAll();
    expect(consumer.calls).toHaveLength(1);
    await line.goOn(10 * second, second);
    await line.emit(1);
    await line.notifyAll();
    status = 200;
    await line.goOn(hour, minute);
    const sets = Object.values(Object.groupBy(consumer.calls, ({ id }) => id)).map(
      (same) => new Set(same?.map(({ body }) => body)),
    );
    expect(sets.map((bodies) => bodies.size)).toEqual([1, 1, 1]);
    const [first = '[]'] = [...(sets[0] ?? [])];
    expect(JSON.parse(first).map(({ id }: { id: string }) => id)).toEqual(ids.slice(0, 3));
    expect(consumer.calls.length).toBeGreaterThan(3);
  });
});

describe('a batch that is too large for its endpoint', () => {
  const most = 3;

  /** Emits so many, and says how many each POST of them had. */
  async function sizesOf(count: number, { calls }: Consumer): Promise<number[]> {
    const before = calls.length;
    await line.emit(count);
    await line.notifyAll();
    await line.forwardAll();
    return calls.slice(before).map(({ body }) => JSON.parse(body).length);
  }

  /** Answers as one that takes no more than three events at once. */
  const openSmall = () =>
    openConsumer((_, { body }) => ({ status: JSON.parse(body).length > most ? 413 : 204, body: 'so' }));

  it('goes out in halves until they are small enough, each event once', async () => {
    await using consumer = await openSmall();
    const { id } = await line.addWebhook({ endpoint: consumer.url, batch: { max_events: 20, max_wait_ms: 0 } });
    const ids = await line.emit(20);
    await line.notifyAll();
    await line.forwardAll();
    const batches = consumer.calls.map(({ body }) => JSON.parse(body).map((event: { id: string }) => event.id));
    const taken = batches.filter(({ length }) => length <= most);
    expect(taken.flat().toSorted()).toEqual(ids.toSorted());
    expect(new Set(consumer.ids()).size).toBe(consumer.calls.length);
    expect([await line.redis.zcard(keys.posts(id)), await line.posts.failingSince([id])]).toEqual([0, [null]]);
    const { page } = await line.deliveries.page(id, { limit: 50, status: 'failed' });
    expect(page).toMatchObject([{ attempts: 1, nextAt: null, reason: expect.stringMatching(/in two/) }]);
  });

  it('has those after it go out small enough, twice as large after a while, and as large as any once it is moved', async () => {
    await using consumer = await openSmall();
    const { id } = await line.addWebhook({ endpoint: consumer.url, batch: { max_events: 20, max_wait_ms: 0 } });
    const sizes = () => sizesOf(20, consumer);
    expect(Math.max(...(await sizes()))).toBe(20);
    expect(await sizes()).toEqual([3, 3, 3, 3, 3, 3, 2]);
    line.pass(30 * second);
    expect(Math.max(...(await sizes()))).toBe(6);
    expect(Math.max(...(await sizes()))).toBe(3);
    expect((await line.deliveries.page(id, { limit: 50, status: 'failed' })).page).toHaveLength(1);
    expect(await line.redis.hlen(keys.answers(id))).toBe(0);
    await line.posts.renew(id, line.now);
    expect(Math.max(...(await sizes()))).toBe(20);
  });

  it.each([
    { events: 200, after: 100, why: 'has those after it go out in half, however small it was cut itself' },
    { events: 2, after: 200, why: 'changes nothing for others where it was small already' },
  ])('by one event, of $events $why', async ({ events, after }) => {
    let large = '';
    await using consumer = await openConsumer((_, { body }) => ({
      status: body.includes(large) && JSON.parse(body).length > 1 ? 413 : 204,
    }));
    await line.addWebhook({ endpoint: consumer.url, batch: { max_events: 200, max_wait_ms: 0 } });
    large = (await line.emit(events))[0] ?? '';
    await line.notifyAll();
    await line.forwardAll();
    expect(Math.min(...consumer.calls.map(({ body }) => JSON.parse(body).length))).toBe(1);
    expect(await sizesOf(1_000, consumer)).toEqual(Array(1_000 / after).fill(after));
  });

  it('by an endpoint that accepts less than before still lets later batches go out, smaller and after a while', async () => {
    let takes = 10;
    await using consumer = await openConsumer((_, { body }) => ({
      status: JSON.parse(body).length > takes ? 413 : 204,
    }));
    await line.addWebhook({ endpoint: consumer.url, batch: { max_events: 20, max_wait_ms: 0 } });
    await sizesOf(20, consumer);
    takes = most;
    line.pass(30 * second);
    await sizesOf(20, consumer);
    expect(Math.max(...(await sizesOf(20, consumer)))).toBe(most);
  });

  it('has more of those after it in hand at a time, for as many events', async () => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    let isHeld = false;
    await using consumer = await openConsumer(async (_, { body }) => {
      if (isHeld) await released;
      return { status: JSON.parse(body).length > 1 ? 413 : 204 };
    });
    await line.addWebhook({ endpoint: consumer.url, batch: { max_events: 10, max_wait_ms: 0 } });
    await sizesOf(10, consumer);
    const before = consumer.calls.length;
    isHeld = true;
    const sizes = sizesOf(50, consumer);
    await until('as many as in four of ten', () => consumer.calls.length === before + 40);
    release();
    expect(await sizes).toEqual(Array(50).fill(1));
  });

  it('keeps its record where it was delivered before', async () => {
    let status = 204;
    await using consumer = await openConsumer((_, { body }) => ({
      status: JSON.parse(body).length > 1 ? status : 204,
    }));
    const webhook = await line.addWebhook({ endpoint: consumer.url, batch: { max_events: 2, max_wait_ms: 0 } });
    await sizesOf(2, consumer);
    const [delivered] = (await line.deliveries.page(webhook.id, { limit: 1 })).page;
    status = 413;
    for (let n = 0; n < 2; n++) {
      await line.replay(webhook, { kind: 'delivery', deliveryId: delivered?.id ?? '' });
      await line.forwardAll();
      line.pass(hour);
      await sizesOf(2, consumer);
    }
    const { page } = await line.deliveries.page(webhook.id, { limit: 50, status: 'failed' });
    const tries = page.map((delivery) => delivery.tries.map((made) => made.status));
    expect(tries).toEqual([[413], [204, 413, 413]]);
  });

  it('is tried again like any other once it is of one event', async () => {
    await using consumer = await openConsumer(() => ({ status: 413 }));
    const { id } = await line.addWebhook({ endpoint: consumer.url, batch: { max_events: 2, max_wait_ms: 0 } });
    await line.emit(2);
    await line.notifyAll();
    await line.forwardAll();
    expect(consumer.calls).toHaveLength(3);
    const { page } = await line.deliveries.page(id, { limit: 50, status: 'pending' });
    expect(page.map(({ scheduleTries, nextAt }) => [scheduleTries, nextAt])).toEqual(
      Array(2).fill([1, line.now + 5 * second]),
    );
  });
});
