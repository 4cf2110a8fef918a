/** What a server tells of itself: a real one in each way of persistence, one that forbids CONFIG, and relatives that answer otherwise. */
import { expect, it } from 'vitest';
import { openServer, readFacts } from '../../src/store/server.ts';
import { openTestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

async function factsOf(settings: Record<string, string>, commands: readonly (readonly [string, ...string[]])[] = []) {
  await using server = await openTestRedis(settings);
  const redis = server.connect();
  for (const [command, ...args] of commands) await redis.call(command, args);
  return await openServer(redis).facts();
}

const ours = { isReplica: false, evictionPolicy: 'noeviction', hasAof: true, isAofWritten: true, hasSnapshots: false };

it.each([
  [{}, { ...ours, fsync: 'always' }],
  [{ appendfsync: 'everysec' }, { ...ours, fsync: 'everysec' }],
  [{ appendonly: 'no' }, { ...ours, hasAof: false }],
  [
    { appendonly: 'no', save: '3600 1' },
    { hasAof: false, hasSnapshots: true },
  ],
  [{ 'maxmemory-policy': 'allkeys-lru' }, { evictionPolicy: 'allkeys-lru' }],
  [{ replicaof: '127.0.0.1 1' }, { isReplica: true }],
])('a real one with %o', async (settings, facts) => {
  const found = await factsOf(settings);
  expect(found).toMatchObject(facts);
  expect(found.version).toMatch(/^\d+\.\d+/);
});

it('one that does not let us ask for its settings tells what it can', async () => {
  const user = ['ACL', 'SETUSER', 'default', '-config'] as const;
  expect(await factsOf({}, [user])).toMatchObject({ ...ours, fsync: null, hasSnapshots: null });
});

it('one that answered while this process was too busy to read it is there, and one that says nothing is not', async () => {
  await using server = await openTestRedis();
  const redis = server.connect();
  await redis.ping();
  const { ping } = openServer(redis);
  const asked = ping();
  beBusy(1_200);
  expect(await asked).toBe(true);
  await redis.client('PAUSE', 60_000, 'ALL');
  expect(await ping()).toBe(false);
});

it('relatives go by their own names, and what they do not tell is not known', () => {
  const none = { fsync: null, save: null };
  expect(readFacts('redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\n', none)).toMatchObject({
    product: 'Valkey',
    version: '8.0.1',
  });
  expect(readFacts('redis_version:7.4.0\r\ndragonfly_version:df-v1.30.0\r\n', none)).toEqual({
    ...{ product: 'Dragonfly', version: 'df-v1.30.0', isReplica: false, evictionPolicy: null },
    ...{ hasAof: null, isAofWritten: true, fsync: null, hasSnapshots: null },
  });
  expect(readFacts('', none)).toMatchObject({ product: 'Redis', version: null, hasAof: null });
});

/** Reads nothing and runs no timer meanwhile. */
function beBusy(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

it('while a server hangs up on us in one way and in another, each reason is told once', async () => {
  await using server = await openTestRedis();
  const redis = server.connect();
  await redis.ping();
  const told: (string | null)[] = [];
  openServer(redis).onReach((why) => told.push(why));
  for (const why of ['read ECONNRESET', 'write EPIPE', 'read ECONNRESET']) redis.emit('error', new Error(why));
  expect(told).toEqual(['read ECONNRESET', 'write EPIPE']);
  redis.disconnect(true);
  await until('it to be back', () => told.at(-1) === null);
  redis.emit('error', new Error('write EPIPE'));
  expect(told).toEqual(['read ECONNRESET', 'write EPIPE', null, 'write EPIPE']);
});
