/** replay: by event, by delivery, by time and type; under the same webhook-id, and to the endpoint that asked for it alone. */
import { beforeEach, expect, it } from 'vitest';
import type { Webhook } from '../../src/domain/webhook.ts';
import type { ReplayRequest } from '../../src/pipeline/replay.ts';
import { openCreations } from '../../src/store/creations.ts';
import { keys } from '../../src/store/keys.ts';
import { readPosts } from '../../src/store/post-levels.ts';
import { type Consumer, openConsumer } from '../support/consumer.ts';
import { day, minute, openPosting, type Posting, second } from '../support/posting.ts';
import type { TestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { useTestRedis } from '../support/use-redis.ts';

let server: TestRedis;
let consumer: Consumer;
let line: Posting;
let status = 204;
useTestRedis(async (own, opened) => {
  server = own;
  consumer = opened.use(await openConsumer(() => ({ status })));
});
beforeEach(async () => {
  line = await openPosting(server);
  consumer.calls.length = 0;
  status = 204;
  return () => line[Symbol.asyncDispose]();
});

async function deliverAll(): Promise<void> {
  await line.notifyAll();
  await line.forwardAll();
}

it('a replay of an event posts it again under its id, to that endpoint alone', async () => {
  const webhook = await line.addWebhook({ endpoint: `${consumer.url}?a` });
  await line.addWebhook({ endpoint: `${consumer.url}?b` });
  const [id = ''] = await line.emit(3);
  await deliverAll();
  expect(consumer.calls).toHaveLength(6);
  expect(await line.replay(webhook, { kind: 'event', eventId: id })).toEqual({ count: 1, restSince: null });
  await line.forwardAll();
  expect(consumer.ids().slice(6)).toEqual([id]);
  const log = await line.deliveries.page(webhook.id, { limit: 10, event: { id, place: null } });
  expect(log.page).toMatchObject([{ status: 'success', attempts: 2, webhookId: id }]);
});

it.each(['ev_none', 'ev_00000000000000000000000000_9', 'x'])(
  'a replay of an event that does not exist is refused: %s',
  async (eventId) => {
    const webhook = await line.addWebhook({ endpoint: consumer.url });
    await line.emit(1);
    expect(await line.replay(webhook, { kind: 'event', eventId })).toBeNull();
  },
);

it('a replay of a failed delivery begins a new schedule', async () => {
  status = 500;
  const webhook = await line.addWebhook({ endpoint: consumer.url });
  await line.emit(1);
  await line.notifyAll();
  for (let n = 0; n < 10; n++) {
    await line.forwardAll();
    await line.passToNext();
  }
  const [delivery] = (await line.deliveries.page(webhook.id, { limit: 1, status: 'failed' })).page;
  expect(delivery).toMatchObject({ attempts: 10, nextAt: null });
  await line.replay(webhook, { kind: 'delivery', deliveryId: delivery?.id ?? '' });
  // It failed five times in a row, so it is left alone for a while.
  await line.passToNext();
  await line.forwardAll();
  expect((await line.deliveries.page(webhook.id, { limit: 1 })).page).toMatchObject([
    { id: delivery?.id, status: 'pending', attempts: 11, scheduleTries: 1, nextAt: line.now + 5 * second },
  ]);
  expect(new Set(consumer.ids()).size).toBe(1);
});

it('a replay of a delivery that ended when its endpoint was disabled begins a new schedule', async () => {
  status = 500;
  const webhook = await line.addWebhook({ endpoint: consumer.url });
  await line.emit(1);
  await line.notifyAll();
  for (let n = 0; n < 3; n++) {
    await line.forwardAll();
    await line.passToNext();
  }
  const set = (to: Pick<Webhook, 'status' | 'disabledReason'>) =>
    line.webhooks.change(webhook.id, (was) => ({ webhook: { ...was, ...to } }));
  await set({ status: 'disabled', disabledReason: 'by_request' });
  await line.posts.drop(webhook.id);
  await set({ status: 'enabled', disabledReason: null });
  const [delivery] = (await line.deliveries.page(webhook.id, { limit: 1 })).page;
  expect(delivery).toMatchObject({ status: 'failed', attempts: 3, nextAt: null });
  await line.replay(webhook, { kind: 'delivery', deliveryId: delivery?.id ?? '' });
  await line.forwardAll();
  expect((await line.deliveries.page(webhook.id, { limit: 1 })).page).toMatchObject([
    { id: delivery?.id, status: 'pending', attempts: 4, scheduleTries: 1, nextAt: line.now + 5 * second },
  ]);
});

it('a replay of a delivery that comes again begins a new schedule, so that many replays do not use up its tries', async () => {
  status = 500;
  const webhook = await line.addWebhook({ endpoint: consumer.url });
  const [eventId = ''] = await line.emit(1);
  await deliverAll();
  for (let n = 0; n < 12; n++) {
    for (let repeats = 0; repeats < 2; repeats++) await line.replay(webhook, { kind: 'event', eventId });
    line.pass(minute);
    await line.forwardAll();
  }
  expect((await line.deliveries.page(webhook.id, { limit: 1 })).page).toMatchObject([
    { status: 'pending', attempts: 13, scheduleTries: 1, nextAt: line.now + 5 * second },
  ]);
});

it('a replay of a delivery that comes again makes its next try due at once, and repeats do not make its record longer', async () => {
  status = 500;
  const webhook = await line.addWebhook({ endpoint: consumer.url });
  const [eventId = ''] = await line.emit(1);
  await deliverAll();
  const records = () => line.redis.hvals(keys.deliveries(webhook.id));
  line.pass(second);
  await line.replay(webhook, { kind: 'event', eventId });
  const once = await records();
  const { now } = line;
  line.pass(second);
  for (let n = 0; n < 3; n++) await line.replay(webhook, { kind: 'event', eventId });
  expect((await line.deliveries.page(webhook.id, { limit: 1 })).page).toMatchObject([
    { status: 'pending', nextAt: now },
  ]);
  expect(await records()).toEqual(once);
});

it('a replay of an old event counts as waiting since the replay, also after failed tries', async () => {
  const webhook = await line.addWebhook({ endpoint: consumer.url });
  await line.emit(1);
  await deliverAll();
  const [missed = ''] = await line.emit(1, { type: 'email.failed' });
  line.pass(3 * day);
  status = 500;
  const since = line.now;
  await line.replay(webhook, { kind: 'event', eventId: missed });
  await line.replay(webhook, { kind: 'range', since: 0, until: since });
  for (let n = 0; n < 3; n++) {
    await line.forwardAll();
    const { waiting, oldestAt } = await readPosts(line.redis, line.now);
    expect([waiting, since - (oldestAt ?? 0)]).toEqual([2, 1]);
    await line.passToNext();
  }
});

it('a replay waits as long as its endpoint asked for with Retry-After', async () => {
  await using busy = await openConsumer((n) =>
    n === 1 ? { status: 429, headers: { 'retry-after': '600' } } : { status: 204 },
  );
  const webhook = await line.addWebhook({ endpoint: busy.url });
  const [eventId = ''] = await line.emit(1);
  await deliverAll();
  await line.replay(webhook, { kind: 'event', eventId });
  await line.forwardAll();
  expect(busy.calls).toHaveLength(1);
  line.pass(600 * second);
  await line.forwardAll();
  expect(busy.calls).toHaveLength(2);
});

it('a replay of a batch posts the same batch under the same id', async () => {
  const webhook = await line.addWebhook({ endpoint: consumer.url, batch: { max_events: 10, max_wait_ms: 0 } });
  await line.emit(7);
  await deliverAll();
  const [delivery] = (await line.deliveries.page(webhook.id, { limit: 1 })).page;
  await line.replay(webhook, { kind: 'delivery', deliveryId: delivery?.id ?? '' });
  await line.forwardAll();
  const [first, second] = consumer.calls;
  expect(consumer.calls).toHaveLength(2);
  expect([second?.id, second?.body]).toEqual([first?.id, first?.body]);
});

it('a replay of a range posts its events of the given types in order, also those that were missed', async () => {
  const webhook = await line.addWebhook({ endpoint: consumer.url, events: ['email.sent', 'email.bounced'] });
  const { id } = webhook;
  await line.webhooks.change(id, (was) => ({ webhook: { ...was, status: 'disabled', disabledReason: 'gone' } }));
  const since = Date.now();
  const missed = await line.emit(1_500);
  await line.emit(3, { type: 'email.failed' });
  await line.emit(2, { type: 'email.bounced' });
  await deliverAll();
  expect(consumer.calls).toHaveLength(0);
  const enabled = await line.webhooks.change(id, (was) => ({
    webhook: { ...was, status: 'enabled', disabledReason: null },
  }));
  if (enabled === null) throw new Error('it is gone');
  const range = { kind: 'range', since, until: Date.now() } as const;
  expect(await line.replay(enabled, { ...range, types: ['email.sent'] })).toEqual({ count: 1_500, restSince: null });
  expect(await line.replay(enabled, range)).toEqual({ count: 1_502, restSince: null });
  expect(await line.redis.zcard(keys.posts(id))).toBe(1_502);
  expect(await line.replay(enabled, { ...range, until: since - 1 })).toEqual({ count: 0, restSince: null });
  await line.forwardAll();
  expect(
    consumer
      .ids()
      .filter((sent) => missed.includes(sent))
      .toSorted(),
  ).toEqual(missed.toSorted());
  expect(consumer.calls).toHaveLength(1_502);
});

it('a replay of a delivery in hand waits until that try is over', async () => {
  const webhook = await line.addWebhook({ endpoint: consumer.url });
  const [eventId = ''] = await line.emit(1);
  await line.notifyAll();
  await line.posts.take(webhook, { limit: 1, leaseMs: 30 * second, longestWaitMs: day, now: line.now });
  await line.replay(webhook, { kind: 'event', eventId });
  await line.forwardAll();
  expect(consumer.calls).toHaveLength(0);
});

it('several replays of a delivery in hand post it once more, with a new schedule, when that try fails', async () => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  await using slow = await openConsumer(async (n) => {
    if (n === 2) await released;
    return { status: n < 4 ? 500 : 204 };
  });
  const webhook = await line.addWebhook({ endpoint: slow.url });
  const [eventId = ''] = await line.emit(1);
  await deliverAll();
  await line.passToNext();
  await line.look();
  await until('it to be in hand', () => slow.calls.length === 2);
  for (let n = 0; n < 3; n++) await line.replay(webhook, { kind: 'event', eventId });
  release();
  await line.roundsEnded();
  expect(slow.calls).toHaveLength(3);
  expect((await line.deliveries.page(webhook.id, { limit: 1 })).page).toMatchObject([
    { status: 'pending', attempts: 3, scheduleTries: 1, nextAt: line.now + 5 * second },
  ]);
});

it('a replay under one Idempotency-Key is done once, also when several processes share it', async () => {
  const { begin } = openCreations(line.redis, Buffer.alloc(32));
  const claim = (scope: string) => begin({ scope, bodyHash: 'hash' }, { id: line.newId('ch'), now: line.now });
  const webhook = await line.addWebhook({ endpoint: consumer.url });
  const [, eventId = ''] = await line.emit(1_500);
  const range = { kind: 'range', since: 0, until: line.now + minute } as const;
  const sent = async (request: ReplayRequest, scope: string) => {
    const before = consumer.calls.length;
    const answer = await line.replay(webhook, request, (await claim(scope))?.mark);
    await line.forwardAll();
    return [answer?.count, consumer.calls.length - before];
  };
  expect(await sent(range, 'a range')).toEqual([1_500, 1_500]);
  await line.emit(3);
  expect(await sent(range, 'a range')).toEqual([1_503, 3]);
  // What is trimmed between has the walk begin elsewhere.
  const [oldest = ''] = (await line.redis.xrange(keys.outbox, '-', '+', 'COUNT', 1)).map(([place]) => place);
  await line.redis.xdel(keys.outbox, oldest);
  await line.emit(3);
  expect(await sent(range, 'a range')).toEqual([1_505, 3]);
  expect(await sent(range, 'a range')).toEqual([1_505, 0]);
  const event = { kind: 'event', eventId } as const;
  expect(await sent(event, 'an event')).toEqual([1, 1]);
  expect(await sent(event, 'an event')).toEqual([1, 0]);
  expect(await sent(event, 'another')).toEqual([1, 1]);
});

it('a replay of a range matches emails of a deleted campaign by their lane, but not by tags', async () => {
  const filters = [{ lane: 'bulk' }, { lane: 'transactional' }, { tags: { kind: 'news' } }, null];
  const webhooks = await Promise.all(filters.map((filter) => line.addWebhook({ endpoint: consumer.url, filter })));
  await line.emit(2, { campaignId: 'cm_01kb2m7x4p6q8s0t2v4w600000' });
  await line.emit(1);
  const range = { kind: 'range', since: 0, until: line.now + minute } as const;
  const replayed = await Promise.all(webhooks.map((webhook) => line.replay(webhook, range)));
  expect(replayed.map((answer) => answer?.count)).toEqual([2, 0, 0, 3]);
});
