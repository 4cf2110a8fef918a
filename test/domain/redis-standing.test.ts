/** What Redis guarantees, in words: by what it tells of itself, and by what it does not tell. */
import { describe, expect, it } from 'vitest';
import { guarantees, judgeRedis, type RedisFacts } from '../../src/domain/redis-standing.ts';

const sound: RedisFacts = {
  product: 'Redis',
  version: '7.0.15',
  isReplica: false,
  evictionPolicy: 'noeviction',
  hasAof: true,
  isAofWritten: true,
  fsync: 'always',
  hasSnapshots: false,
  failsToSave: false,
  lacksReplicas: false,
};

describe('the guarantee', () => {
  const cases: [keyof typeof guarantees, boolean, Partial<RedisFacts>][] = [
    ['always', true, {}],
    ['everysec', true, { fsync: 'everysec' }],
    ['no', false, { fsync: 'no' }],
    ['aof', true, { fsync: null }],
    ['snapshots', false, { hasAof: false, hasSnapshots: true }],
    ['snapshots', false, { hasAof: false, hasSnapshots: null }],
    ['none', false, { hasAof: false }],
    ['unknown', false, { hasAof: null, fsync: null }],
  ];

  it.each(cases)('%s (sound: %s) by %o', (guarantee, isSound, given) => {
    const standing = judgeRedis({ ...sound, ...given }, false);
    expect(standing).toEqual({
      ...{ server: 'Redis 7.0.15', guarantee, isSound, isWritable: true, unfit: null, unfitToStart: null },
      words: guarantees[guarantee],
    });
  });

  it('every guarantee has a case above', () => {
    expect(new Set(cases.map(([guarantee]) => guarantee))).toEqual(new Set(Object.keys(guarantees)));
  });
});

it.each<[RegExp, Partial<RedisFacts>]>([
  [/it drops keys when it is full \(maxmemory-policy allkeys-lru /, { evictionPolicy: 'allkeys-lru' }],
  [/it is a replica, which takes no writes/, { isReplica: true }],
  [/its append-only file could not be written/, { isAofWritten: false }],
])('%s is said, and is not sound, though it is put up with', (words, given) => {
  expect(judgeRedis({ ...sound, ...given }, false)).toMatchObject({ isSound: false, unfit: null });
  expect(judgeRedis({ ...sound, ...given }, false).words).toMatch(words);
  expect(judgeRedis({ ...sound, ...given }, true).unfit).toMatch(words);
});

it.each<[RegExp, Partial<RedisFacts>]>([
  [/it takes no writes, as its last snapshot failed \(stop-writes-on-bgsave-error\)/, { failsToSave: true }],
  [/it takes no writes, as fewer replicas follow it than min-replicas-to-write/, { lacksReplicas: true }],
])('%s is said, and is not sound; what it has is kept all the same', (words, given) => {
  for (const mustBeDurable of [false, true]) {
    const standing = judgeRedis({ ...sound, ...given }, mustBeDurable);
    expect(standing).toMatchObject({ isSound: false, isWritable: false, unfit: null, unfitToStart: null });
    expect(standing.words).toMatch(words);
  }
});

it('a running process waits while Redis is a replica, and none starts with one; that is the first reason given', () => {
  const unfitToStart = expect.stringMatching(/^Redis 7\S+ is a replica.*primary/);
  expect(judgeRedis({ ...sound, isReplica: true }, false)).toMatchObject({ unfit: null, unfitToStart });
  expect(judgeRedis({ ...sound, isReplica: true, fsync: 'no' }, true)).toMatchObject({ unfitToStart });
  expect(judgeRedis(sound, false).unfitToStart).toBeNull();
});

it.each<[string, Partial<RedisFacts>]>([
  ['everysec', { fsync: 'everysec' }],
  ['unknown fsync', { fsync: null }],
  ['no AOF', { hasAof: false }],
  ['nothing told', { hasAof: null }],
])('with REQUIRE_DURABLE_REDIS, %s does not meet the requirements', (_, given) => {
  expect(judgeRedis(sound, true).unfit).toBeNull();
  expect(judgeRedis({ ...sound, ...given }, true).unfit).toMatch(/^REQUIRE_DURABLE_REDIS is set, and of Redis 7/);
});

it.each([
  ['6.0.16', true],
  ['5.0.14', true],
  ['6.2.0', false],
  ['6.10.1', false],
  ['8.1.0', false],
  ['255.255.255', false],
  ['df-v1.20.0', false],
  [null, false],
])('version %s is too old: %s', (version, isTooOld) => {
  const { unfit } = judgeRedis({ ...sound, version }, false);
  expect(unfit).toBe(isTooOld ? `Redis ${version} is too old: Postrider needs 6.2 or later` : null);
});
