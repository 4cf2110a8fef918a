/** What a server tells of itself: a real one in each way of persistence, one that forbids CONFIG, and relatives that answer otherwise. */
import { expect, it } from 'vitest';
import { openServer, readFacts } from '../../src/store/server.ts';
import { failToSave, openTestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const none = {
  ...{ appendfsync: null, save: null },
  ...{ 'stop-writes-on-bgsave-error': null, 'min-replicas-to-write': null },
};

async function factsOf(settings: Record<string, string>, commands: readonly (readonly [string, ...string[]])[] = []) {
  await using server = await openTestRedis(settings);
  const redis = server.connect();
  for (const [command, ...args] of commands) await redis.call(command, args);
  return await openServer(redis).facts();
}

const ours = {
  ...{ isReplica: false, evictionPolicy: 'noeviction', hasAof: true, isAofWritten: true, hasSnapshots: false },
  ...{ failsToSave: false, lacksReplicas: false },
};

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
  [{ 'min-replicas-to-write': '1' }, { lacksReplicas: true }],
])('a real one with %o', async (settings, facts) => {
  const found = await factsOf(settings);
  expect(found).toMatchObject(facts);
  expect(found.version).toMatch(/^\d+\.\d+/);
});

it('a server that refuses to show its settings reports what it can', async () => {
  const user = ['ACL', 'SETUSER', 'default', '-config'] as const;
  expect(await factsOf({}, [user])).toMatchObject({ ...ours, fsync: null, hasSnapshots: null });
});

it('a server that lacks replicas is recognized even if it refuses to show how many it needs', async () => {
  const user = ['ACL', 'SETUSER', 'default', '-config'] as const;
  expect(await factsOf({ 'min-replicas-to-write': '1' }, [user])).toMatchObject({ lacksReplicas: true });
});

it('a server whose last snapshot failed takes no writes, unless configured to or without automatic snapshots', async () => {
  await using server = await openTestRedis({ save: '3600 1' });
  const redis = server.connect();
  await failToSave(server, redis);
  const { facts } = openServer(redis);
  await expect(redis.set('a', 1)).rejects.toThrow('MISCONF');
  expect((await facts()).failsToSave).toBe(true);
  for (const [setting, takesWrites, usual] of [
    ['stop-writes-on-bgsave-error', 'no', 'yes'],
    ['save', '', '3600 1'],
  ] as const) {
    await redis.config('SET', setting, takesWrites);
    expect((await facts()).failsToSave).toBe(false);
    await redis.set('a', 1);
    await redis.config('SET', setting, usual);
  }
  expect((await facts()).failsToSave).toBe(true);
  await redis.acl('SETUSER', 'default', '-config');
  expect((await facts()).failsToSave).toBe(false);
});

it.each([
  [1, 2, true],
  [2, 2, false],
])('with %d good replicas of the %d that it must have it lacks some: %s', (good, needed, lacksReplicas) => {
  const settings = { ...none, 'min-replicas-to-write': String(needed) };
  expect(readFacts(`min_slaves_good_slaves:${good}\r\n`, settings)).toMatchObject({ lacksReplicas });
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

it('servers derived from Redis have their own names, and facts they do not report are unknown', () => {
  expect(readFacts('redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\n', none)).toMatchObject({
    product: 'Valkey',
    version: '8.0.1',
  });
  expect(readFacts('redis_version:7.4.0\r\ndragonfly_version:df-v1.30.0\r\n', none)).toEqual({
    ...{ product: 'Dragonfly', version: 'df-v1.30.0', isReplica: false, evictionPolicy: null },
    ...{ hasAof: null, isAofWritten: true, fsync: null, hasSnapshots: null },
    ...{ failsToSave: false, lacksReplicas: false },
  });
  expect(readFacts('', none)).toMatchObject({ product: 'Redis', version: null, hasAof: null });
});

/** Reads nothing and runs no timer meanwhile. */
function beBusy(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

it('while a server ends our connection in two ways, each reason is reported once', async () => {
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
