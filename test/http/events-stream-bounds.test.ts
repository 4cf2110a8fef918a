/** What a live stream may cost, and how long it lives: slow readers, too many, heartbeats, revoked keys, a stop. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { emailIdOf, eventOf, type FeedWorld, type MadeKey, openFeedWorld } from '../support/event-feed.ts';
import { type EventStream, readStream } from '../support/event-stream.ts';
import { apiClient } from '../support/postrider.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
const open = async (...given: Parameters<typeof openFeedWorld>) => opened.use(await openFeedWorld(...given));
afterAll(() => opened.disposeAsync());

const one = emailIdOf(1);
const eventsOf = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => eventOf(one, from + n));
const idsIn = (events: readonly { id: string }[]) => events.map(({ id }) => id);
const idsOf = ({ events }: EventStream) => events.map(({ data }) => data.id);

/** Tens of thousands of events take a while on a busy machine. */
const longMs = 50_000;

const asStream = { accept: 'text/event-stream' };

it('for a reader that does not read nothing is kept and no other reader waits; later it gets everything from the log', async () => {
  const world = await open();
  // As many bytes as 50,000 events without metadata have, and more than sockets hold.
  await world.keep({ id: one, metadata: { filling: 'x'.repeat(1_000) } });
  const count = 20_000;
  const slow = await readStream(world.url);
  slow.pause();
  const [end] = world.sockets;
  const prompt = await readStream(world.url);
  let most = 0;
  for (let n = 0; n < count; n += 1_000) {
    await world.add(...eventsOf(n + 1, n + 1_000));
    most = Math.max(most, end?.writableLength ?? 0);
  }
  await until('the prompt reader to have all', () => prompt.events.length === count, undefined, longMs);
  expect(idsOf(prompt)).toEqual(idsIn(eventsOf(1, count)));
  expect(slow.events.length).toBeLessThan(count / 2);
  most = Math.max(most, end?.writableLength ?? 0);
  expect(most).toBeGreaterThan(0);
  expect(most).toBeLessThan(256 * 1024);
  prompt.leave();

  slow.resume();
  await until('the slow reader to have all', () => slow.events.length === count, undefined, longMs);
  expect(idsOf(slow)).toEqual(idsIn(eventsOf(1, count)));
  slow.leave();
});

it('for readers that do not read, no more large events are rendered than are written to them, and few more are read', async () => {
  const world = await open();
  await world.keep({ id: one, metadata: { filling: 'x'.repeat(4_000) } });
  const to = Array.from({ length: 50 }, (_, n) => `${n}${'y'.repeat(230)}@example.org`);
  const largeOf = (from: number) => eventsOf(from, from + 99).map((event) => ({ ...event, to }));
  const [before] = await world.add(eventOf(one, 1));
  for (let n = 0; n < 1_000; n += 100) await world.add(...largeOf(n + 2));
  const { body } = await apiClient(world.url)('GET', `/v1/events?limit=1&after=${before}`);
  const size = JSON.stringify(body.data[0]).length;
  const seen = Object.assign(world.seen, { read: 0, rendered: 0 });
  const readers = await Promise.all(Array.from({ length: 4 }, () => readStream(world.url, {}, `?after=${before}`)));
  for (const reader of readers) reader.pause();
  const ends = world.sockets.slice(-4);
  let written = -1;
  await until('all sockets to be full', () => {
    const before = written;
    written = ends.reduce((sum, end) => sum + end.bytesWritten, 0);
    return before === written && ends.every((end) => end.writableLength > 0);
  });
  const made = seen.rendered;
  expect(made * size).toBeLessThanOrEqual(written);
  expect(seen.read).toBeLessThan(4 * made);
  for (const reader of readers) reader.leave();
  await until('the readers to be gone', () => ends.every((end) => end.destroyed));
  expect(seen.rendered).toBe(made);
});

it('a reader that takes nothing for too long is dropped, and finds its place again', async () => {
  const world = await open({ stallMs: 100 });
  await world.keep({ id: one, metadata: { filling: 'x'.repeat(4_000) } });
  const reader = await readStream(world.url);
  reader.pause();
  const [end] = world.sockets;
  for (let n = 0; end?.destroyed === false; n += 1_000) await world.add(...eventsOf(n + 1, n + 1_000));
  const total = await world.direct.xlen('pr:{0}:outbox');
  reader.resume();
  await until('what was on its way', () => reader.hasEnded());
  const back = await readStream(world.url, { 'last-event-id': reader.lastEventId() });
  await until('the rest', () => reader.events.length + back.events.length >= total);
  expect([...idsOf(reader), ...idsOf(back)]).toEqual(idsIn(eventsOf(1, total)));
  back.leave();
});

it('a stream beyond the limit of a process is refused with 503, until another one ends', async () => {
  const world = await open({ mostStreams: 2 });
  const all = await Promise.all([readStream(world.url), readStream(world.url)]);
  const api = apiClient(world.url);
  expect(await api('GET', '/v1/events', undefined, asStream)).toMatchObject({
    status: 503,
    headers: { 'retry-after': '2' },
    body: { detail: expect.stringContaining('2 event streams') },
  });
  expect((await api('GET', '/v1/events')).status).toBe(200);
  all[0]?.leave();
  all.push(await until('a place', () => readStream(world.url).catch(() => undefined)));
  for (const reader of all) reader.leave();
});

it('a key that has as many streams as it may is refused with 429, and others are not', async () => {
  const world = await open({ mostOfKey: 1 });
  const mine = await readStream(world.url);
  expect(await apiClient(world.url)('GET', '/v1/events', undefined, asStream)).toMatchObject({
    status: 429,
    headers: { 'retry-after': '60' },
    body: { detail: expect.stringContaining('has 1 event streams') },
  });
  const { token } = await world.makeKey({});
  const other = await readStream(world.url, { authorization: `Bearer ${token}` });
  mine.leave();
  const again = await until('a place', () => readStream(world.url).catch(() => undefined));
  for (const reader of [other, again]) reader.leave();
});

it('a key gets no more streams by making keys, also when one in between is revoked, and takes none from a key that it did not make', async () => {
  const world = await open({ mostOfKey: 2 });
  const maker = await world.makeKey({});
  const child = await world.makeKey({}, maker.key);
  const grandchild = await world.makeKey({}, child.key);
  const stranger = await world.makeKey({});
  const read = ({ token }: MadeKey) => readStream(world.url, { authorization: `Bearer ${token}` });
  const streams = [await read(child), await read(grandchild)];
  expect(await child.revoke()).toBe(true);
  for (const key of [maker, grandchild, await world.makeKey({}, grandchild.key)])
    await expect(read(key)).rejects.toThrow(/^429: .*has 2 event streams/);
  streams.push(await read(stranger), await readStream(world.url));
  streams.shift()?.leave();
  streams.push(await until('a place', () => read(maker).catch(() => undefined)));
  for (const reader of streams) reader.leave();
});

describe('with a heartbeat', () => {
  let world: FeedWorld;
  beforeAll(async () => {
    world = await open({ heartbeatMs: 50 });
  });
  beforeEach(() => world.direct.flushall());

  it('a reader sees that its stream is alive, and moves past events that it did not ask for', async () => {
    const reader = await readStream(world.url, {}, '?types=email.bounced');
    await until('heartbeats', () => reader.heartbeats() >= 3);
    const [, last] = await world.add(...eventsOf(1, 2));
    await until('its place to move', () => reader.lastEventId() === last);
    expect(reader.events).toEqual([]);
    reader.leave();
  });

  it('a stream ends once its key is revoked, and no other does', async () => {
    const revoked = await world.makeKey({ scopes: ['read'] });
    const kept = await world.makeKey({ scopes: ['read'] });
    const [leaving, staying, admin] = await Promise.all([
      readStream(world.url, { authorization: `Bearer ${revoked.token}` }),
      readStream(world.url, { authorization: `Bearer ${kept.token}` }),
      readStream(world.url),
    ]);
    await until('heartbeats', () => [leaving, staying, admin].every((reader) => reader.heartbeats() >= 2));
    expect(await revoked.revoke()).toBe(true);
    await until('the stream to end', () => leaving.hasEnded());
    await world.add(eventOf(one, 1));
    await until('the others to be told', () => staying.events.length === 1 && admin.events.length === 1);
    expect(leaving.events).toEqual([]);
    for (const reader of [staying, admin]) reader.leave();
  });
});

it('a stop ends all streams and waits for none, not even for a reader that does not read', async () => {
  const world = await open();
  await world.keep({ id: one, metadata: { filling: 'x'.repeat(4_000) } });
  const [reader, stuck] = [await readStream(world.url), await readStream(world.url)];
  stuck.pause();
  const end = world.sockets.at(-1);
  let written = -1;
  for (let n = 0; end?.bytesWritten !== written || end.writableLength === 0; n += 1_000) {
    written = end?.bytesWritten ?? 0;
    await world.add(...eventsOf(n + 1, n + 1_000));
  }
  await world.stop();
  await until('the stream to end', () => reader.hasEnded());
  await expect(readStream(world.url)).rejects.toThrow('ECONNREFUSED');
  stuck.leave();
});
