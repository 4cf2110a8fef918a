/** GET /v1/events as a live stream: from any place, for any number of readers, as fast as each takes it, and no longer than its key is valid. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { keys } from '../../src/store/keys.ts';
import { emailIdOf, eventOf, type FeedWorld, openFeedWorld, transportEvent } from '../support/event-feed.ts';
import { type EventStream, readStream } from '../support/event-stream.ts';
import { makeGate } from '../support/gate.ts';
import { apiClient } from '../support/postrider.ts';
import { until } from '../support/until.ts';

/** A heartbeat would heal what was missed. */
const withoutHeartbeat = { heartbeatMs: 3_600_000 };

const opened = new AsyncDisposableStack();
let world: FeedWorld;
beforeAll(async () => {
  world = opened.use(await openFeedWorld(withoutHeartbeat));
});
afterAll(() => opened.disposeAsync());

const readers: EventStream[] = [];
beforeEach(() => world.direct.flushall());
afterEach(async () => {
  for (const reader of readers.splice(0)) reader.leave();
  await until('the last watch to end', async () => (await watches(world)) === 0);
});

async function read(headers: Record<string, string> = {}, query = ''): Promise<EventStream> {
  const reader = await readStream(world.url, headers, query);
  readers.push(reader);
  return reader;
}

/** Connections that wait for what is added to the log. */
async function watches({ direct }: FeedWorld): Promise<number> {
  const clients = String(await direct.client('LIST'));
  return clients.split('\n').filter((line) => line.includes('cmd=xread ')).length;
}

const isLive = (where = world) => until('the watch', async () => (await watches(where)) === 1);
const idsOf = (reader: EventStream) => reader.events.map(({ data }) => data.id);
const eventsOf = (id: string, from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, n) => eventOf(id, from + n));
const idsIn = (events: readonly { id: string }[]) => events.map(({ id }) => id);
const [one, other] = [emailIdOf(1), emailIdOf(2)];

it('a stream sends what happens from now on, with the data of the list and with its cursor and type', async () => {
  await world.add(eventOf(one, 1));
  const reader = await read();
  expect(reader.headers).toMatchObject({ 'cache-control': 'no-store', 'x-accel-buffering': 'no', vary: 'accept' });
  await world.keep({ id: one, subject: 'Two\nlines' });
  const cursors = await world.add(eventOf(one, 2, { type: 'email.sent' }), transportEvent(1));
  await until('both events', () => reader.events.length === 2);
  const { body } = await apiClient(world.url)('GET', '/v1/events');
  const types = ['email.sent', 'transport.degraded'];
  expect(reader.events).toEqual(types.map((event, n) => ({ id: cursors[n], event, data: body.data[n + 1] })));
  expect(reader.text()).toContain('retry: 1000\n');
});

it('a stream and a list pass over what cannot be read', async () => {
  const reader = await read();
  await isLive();
  await world.direct.xadd(keys.outbox, '*', 'event', '{"type":"email.sent","emailId":7}');
  await world.add(eventOf(one, 2));
  await until('the event behind it', () => reader.events.length === 1);
  const { status, body } = await apiClient(world.url)('GET', '/v1/events');
  expect([status, body.data.map(({ id }: { id: string }) => id)]).toEqual([200, idsOf(reader)]);
  expect(world.seen.troubles).toEqual([]);
});

it('once its key is revoked a stream gets nothing more, and ends at the next event', async () => {
  const [revoked, kept] = [await world.makeKey({ scopes: ['read'] }), await world.makeKey({ scopes: ['read'] })];
  const by = ({ token }: { token: string }) => read({ authorization: `Bearer ${token}` });
  const [leaving, also, staying] = await Promise.all([by(revoked), by(revoked), by(kept)]);
  await world.add(eventOf(one, 1));
  await until('all to be told', () => [leaving, also, staying].every((reader) => reader.events.length === 1));
  expect(await revoked.revoke()).toBe(true);
  await world.add(eventOf(one, 2));
  await until('the streams to end', () => leaving.hasEnded() && also.hasEnded());
  await until('the other to be told', () => staying.events.length === 2);
  expect([idsOf(leaving), idsOf(also)]).toEqual([idsIn(eventsOf(one, 1, 1)), idsIn(eventsOf(one, 1, 1))]);
});

it('a stream continues after Last-Event-ID, else after `after`, with missed events before new ones', async () => {
  const cursors = await world.add(...eventsOf(one, 1, 300));
  const place = (n: number) => String(cursors[n - 1]);
  const fromHeader = await read({ 'last-event-id': place(10) }, `?after=${place(200)}`);
  const fromQuery = await read({ 'last-event-id': '' }, `?after=${place(200)}`);
  await until('what was missed', () => fromHeader.events.length === 290 && fromQuery.events.length === 100);
  await isLive();
  await world.add(...eventsOf(one, 301, 302));
  await until('what is new', () => fromHeader.events.length === 292 && fromQuery.events.length === 102);
  expect(idsOf(fromHeader)).toEqual(idsIn(eventsOf(one, 11, 302)));
  expect(idsOf(fromQuery)).toEqual(idsIn(eventsOf(one, 201, 302)));
});

it('events that come while a reader is still reading the past are neither skipped nor repeated', async () => {
  const [first = ''] = await world.add(...eventsOf(one, 1, 5_000));
  const all = await Promise.all([read({ 'last-event-id': first }), read({ 'last-event-id': first })]);
  for (let n = 0; n < 20; n++) await world.add(...eventsOf(other, n * 100 + 1, n * 100 + 100));
  for (const reader of all) {
    await until('all events', () => reader.events.length >= 6_999);
    expect(idsOf(reader)).toEqual([...idsIn(eventsOf(one, 2, 5_000)), ...idsIn(eventsOf(other, 1, 2_000))]);
  }
});

it('an event that comes while the end of the log is being read wakes its reader', async () => {
  const gate = makeGate();
  await using own = await openFeedWorld(withoutHeartbeat, gate);
  const reader = await readStream(own.url);
  await until('the log to be read', () => gate.held.length === 1);
  await isLive(own);
  await own.add(eventOf(one, 1));
  await until('the watch to have it', async () => (await own.direct.info('commandstats')).includes('cmdstat_hget:'));
  gate.open();
  await until('the reader to be told', () => reader.events.length === 1);
  reader.leave();
});

it('a reader that is cut off before its first event comes back to where it was', async () => {
  await world.add(...eventsOf(one, 1, 3));
  const reader = await read();
  await until('its place', () => reader.lastEventId() !== '');
  reader.leave();
  await world.add(eventOf(one, 4));
  const back = await read({ 'last-event-id': reader.lastEventId() });
  await until('what it missed', () => back.events.length === 1);
  expect(idsOf(back)).toEqual([eventOf(one, 4).id]);
});

it('types are kept to, in the past and live', async () => {
  const mixed = (n: number) => [eventOf(one, n), eventOf(one, n + 1, { type: 'email.sent' }), transportEvent(n)];
  await world.add(...mixed(1));
  const reader = await read({}, '?types=email.sent,transport.*&after=0-0');
  await until('the past', () => reader.events.length === 2);
  await isLive();
  await world.add(...mixed(3));
  await until('the present', () => reader.events.length === 4);
  expect(reader.events.map(({ event }) => event)).toEqual([1, 2].flatMap(() => ['email.sent', 'transport.degraded']));
});

it('a limited key sees the events of emails it could have sent, past and live', async () => {
  await world.keep({ id: one, from: { address: 'a@shop.example' } });
  await world.keep({ id: other });
  const { token } = await world.makeKey({ from_domains: ['shop.example'] });
  const happen = (n: number) => world.add(eventOf(one, n), eventOf(other, n), transportEvent(n));
  await happen(1);
  const reader = await read({ authorization: `Bearer ${token}` }, '?after=0-0');
  const admin = await read();
  await until('the past', () => reader.events.length === 1);
  await happen(2);
  await until('the present', () => reader.events.length === 2 && admin.events.length === 3);
  expect(idsOf(reader)).toEqual(idsIn(eventsOf(one, 1, 2)));
});

it('any number of readers share one watch on the log, which exists only while there are readers', async () => {
  expect(await watches(world)).toBe(0);
  const all = await Promise.all(Array.from({ length: 20 }, () => read()));
  await isLive();
  const before = world.seen.reads;
  await world.add(...eventsOf(one, 1, 50));
  await until('everybody to be told', () => all.every((reader) => reader.events.length === 50));
  await world.add(...eventsOf(one, 51, 60));
  await until('everybody to be told', () => all.every((reader) => reader.events.length === 60));
  // At the most once each, for a reader that came before the watch.
  expect(world.seen.reads - before).toBeLessThanOrEqual(20);
  expect(await watches(world)).toBe(1);
});

it('events removed before a reader came are reported as a gap, and the stream goes on with the oldest kept', async () => {
  const [first = '', second, third = ''] = await world.add(...eventsOf(one, 1, 4));
  await world.trim(third);
  const reader = await read({ 'last-event-id': first });
  await until('the gap and the rest', () => reader.events.length === 3);
  expect(reader.events[0]).toEqual({ id: second, event: 'feed.gap', data: { object: 'gap', cursor: second } });
  expect(idsOf(reader).slice(1)).toEqual(idsIn(eventsOf(one, 3, 4)));
});

describe('while Redis is away', () => {
  it('a stream stays open, and goes on without a gap', async () => {
    const reader = await read();
    await isLive();
    await world.add(...eventsOf(one, 1, 2));
    await until('the first events', () => reader.events.length === 2);
    await world.server.stop();
    await world.server.start();
    await until('Redis to be back', () =>
      world.add(...eventsOf(one, 3, 4)).then((cursors) => cursors[0] !== 'undefined'),
    );
    await until('the rest', () => reader.events.length === 4);
    expect(idsOf(reader)).toEqual(idsIn(eventsOf(one, 1, 4)));
  });

  it('a new one is refused with 503', async () => {
    await world.server.stop();
    const asked = apiClient(world.url)('GET', '/v1/events', undefined, { accept: 'text/event-stream' });
    expect(await asked).toMatchObject({ status: 503, body: { name: 'service_unavailable' } });
    await world.server.start();
    await until('Redis to be back', () =>
      world.direct.ping().then(
        (answer) => answer === 'PONG',
        () => false,
      ),
    );
  });
});
