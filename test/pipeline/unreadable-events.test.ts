/** Events that cannot be read, as another version may have written them: they are passed over, and keep no other. */
import type { Redis } from 'ioredis';
import { beforeEach, expect, it } from 'vitest';
import { adminKey } from '../../src/domain/api-key.ts';
import { readEvents } from '../../src/pipeline/read-events.ts';
import { openEventFeed } from '../../src/store/event-feed.ts';
import { openEventRetention } from '../../src/store/event-retention.ts';
import { keys } from '../../src/store/keys.ts';
import { openOutbox, outboxGroup } from '../../src/store/outbox.ts';
import { type Consumer, openConsumer } from '../support/consumer.ts';
import { openPosting, type Posting } from '../support/posting.ts';
import type { TestRedis } from '../support/redis.ts';
import { useTestRedis } from '../support/use-redis.ts';

let server: TestRedis;
let redis: Redis;
let consumer: Consumer;
let line: Posting;
useTestRedis(async (own, opened) => {
  server = own;
  redis = server.connect();
  consumer = opened.use(await openConsumer(() => ({ status: 204 })));
});
beforeEach(async () => {
  line = await openPosting(server);
  consumer.calls.length = 0;
  return () => line[Symbol.asyncDispose]();
});

const never = new AbortController().signal;
const mail = { type: 'email.sent', emailId: 'em_x', at: 1, sequence: 1, to: ['a@b.co'] };
const forms: Readonly<Record<string, object | null>> = {
  'a reply of another form': { ...mail, smtp: { reply: ['250 ok'] } },
  'recipients of another form': { ...mail, to: 'a@b.co' },
  'a time of another form': { ...mail, at: '2026' },
  'a type that is not known': { ...mail, type: 'email.read' },
  'an email without its id': { type: 'email.sent', at: 1 },
  'a webhook without its address': { type: 'webhook.disabled', at: 1, webhookId: 'wh_x' },
  'nothing at all': null,
};
const addRaw = async (event: unknown) => (await redis.xadd(keys.outbox, '*', 'event', JSON.stringify(event))) ?? '';
const pending = async () => Number(((await redis.xpending(keys.outbox, outboxGroup)) as unknown[])[0]);

it.each(Object.keys(forms))('neither webhooks nor the feed stumble over %s', async (form) => {
  await line.addWebhook({ endpoint: consumer.url, events: ['email.sent'] });
  const before = await line.emit(2);
  const place = await addRaw(forms[form]);
  const after = await line.emit(2);
  await line.notifyAll();
  await line.forwardAll();
  expect(consumer.ids()).toEqual([...before, ...after]);
  expect([line.unreadable, await pending()]).toEqual([[place], 0]);
  const deps = { emails: line.emails, eventFeed: openEventFeed(redis) };
  const page = await readEvents(deps, { types: null, limits: adminKey }, null, 10);
  expect(page).toMatchObject({ kind: 'told', hasMore: false });
  expect(page.kind === 'told' && page.items.map(({ event }) => event.id)).toEqual([...before, ...after]);
});

it('the feed continues after one at the end of a page', async () => {
  await addRaw(forms['nothing at all']);
  const place = await addRaw(forms['nothing at all']);
  const deps = { emails: line.emails, eventFeed: openEventFeed(redis) };
  const page = await readEvents(deps, { types: null, limits: adminKey }, null, 1);
  expect(page).toEqual({ kind: 'told', items: [], next: place, hasMore: false });
});

it('an entry that is no event is one of them', async () => {
  await line.addWebhook({ endpoint: consumer.url });
  const place = await redis.xadd(keys.outbox, '*', 'other', '1');
  await line.notifyAll();
  expect([line.unreadable, await pending()]).toEqual([[place], 0]);
});

it('they are trimmed as all others are', async () => {
  await line.addWebhook({ endpoint: consumer.url });
  await line.emit(1);
  await addRaw(forms['a reply of another form']);
  await line.emit(8);
  await line.notifyAll();
  await openEventRetention(redis).trimEvents(0, 2);
  expect(await redis.xlen(keys.outbox)).toBe(2);
});

it('a replay passes over them, and what waits to be posted of them is lost', async () => {
  const webhook = await line.addWebhook({ endpoint: consumer.url });
  const place = await addRaw(forms['a reply of another form']);
  const ids = await line.emit(2);
  await line.notifyAll();
  await line.forwardAll();
  expect(await line.replay(webhook, { kind: 'event', eventId: ids[0] ?? '' })).toMatchObject({ count: 1 });
  expect(await line.replay(webhook, { kind: 'range', since: 0, until: Date.now() + 1_000 })).toMatchObject({
    count: 2,
  });
  await redis.zadd(keys.posts(webhook.id), 0, place);
  await redis.zadd(keys.postsDue, 0, webhook.id);
  await line.forwardAll();
  expect(line.reports.filter(({ decision }) => decision === 'failed')).toMatchObject([{ delivery: { parcel: place } }]);
});

it('one that was claimed of a dead worker and is gone is acknowledged with the others', async () => {
  const [dead, reader] = [await openOutbox(redis, server.connect(), 'dead', 0), server.connect()];
  const places = [await addRaw(mail), await addRaw(mail), await addRaw(mail)];
  await dead.next(10, never);
  // Redis 7 forgets what is gone by itself when it is claimed; 6.2 hands it on: here it goes right after the claim.
  const claim = reader.xautoclaim.bind(reader) as (...args: unknown[]) => Promise<unknown>;
  reader.xautoclaim = (async (...args: unknown[]) => {
    const claimed = await claim(...args);
    await redis.xdel(keys.outbox, places[1] ?? '');
    return claimed;
  }) as typeof reader.xautoclaim;
  const alive = await openOutbox(reader, server.connect(), 'alive', 0);
  const entries = await alive.next(10, never);
  expect(entries.map(({ place, event }) => [place, event === null])).toEqual(
    places.map((place, n) => [place, n === 1]),
  );
  await alive.acknowledge(entries);
  expect(await pending()).toBe(0);
});
