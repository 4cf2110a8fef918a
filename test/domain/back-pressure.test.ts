/** Back-pressure: how a limit on memory is read, and when a limit is passed. */
import { describe, expect, it } from 'vitest';
import { lanesTaken, limitPassed, parseMemoryLimit } from '../../src/domain/back-pressure.ts';
import { judgeRedis } from '../../src/domain/redis-standing.ts';

const mb = 1_024 ** 2;

describe('a limit on memory', () => {
  it.each([
    ['90%', { percent: 90 }],
    ['512mb', { bytes: 512 * mb }],
    ['2gb', { bytes: 2_048 * mb }],
    ['64KB', { bytes: 65_536 }],
  ])('%s is read', (text, limit) => {
    expect(parseMemoryLimit(text)).toEqual(limit);
  });

  it.each(['', '0%', '101%', '90', '1.5gb', '-1mb', '2tb', '0mb'])('%j is none', (text) => {
    expect(parseMemoryLimit(text)).toBeNull();
  });
});

describe('a load', () => {
  const limits = { waitingEmails: 5, redisMemory: { percent: 90 } };
  const load = (transactional: number, bulk: number, used = 0, max = 100 * mb) => ({
    waitingEmails: { transactional, bulk },
    redisMemory: { used, max },
  });
  const both = ['transactional', 'bulk'];

  it('under its limits leaves room, however much the lanes have together', () => {
    expect(limitPassed(load(4, 4, 89 * mb), limits)).toBeNull();
  });

  it('on a line is over it, and says by how much, whose line it is and which lanes are refused', () => {
    expect(limitPassed(load(5, 4), limits)).toEqual({
      lanes: ['transactional'],
      reason: '5 transactional emails are waiting, the limit is 5 (MAX_WAITING_EMAILS)',
    });
    expect(limitPassed(load(0, 6), limits)).toEqual({
      lanes: ['bulk'],
      reason: '6 bulk emails are waiting, the limit is 5 (MAX_WAITING_EMAILS)',
    });
    expect(limitPassed(load(0, 0, 90 * mb), limits)).toEqual({
      lanes: both,
      reason: 'Redis uses 90.0 MB, the limit is 90.0 MB (MAX_REDIS_MEMORY)',
    });
    expect(limitPassed(load(9, 8, 95 * mb), limits)).toEqual({
      lanes: both,
      reason:
        '9 transactional emails are waiting, the limit is 5 (MAX_WAITING_EMAILS); 8 bulk emails are waiting, the limit is 5 (MAX_WAITING_EMAILS); Redis uses 95.0 MB, the limit is 90.0 MB (MAX_REDIS_MEMORY)',
    });
  });

  it('in a Redis without a limit is never over a share of it, but over a size', () => {
    expect(limitPassed(load(0, 0, 900 * mb, 0), limits)).toBeNull();
    const sized = { ...limits, redisMemory: { bytes: 512 * mb } };
    expect(limitPassed(load(0, 0, 900 * mb, 0), sized)?.reason).toMatch(/^Redis uses 900.0/);
  });
});

describe('new mail', () => {
  const sound = {
    ...{ product: 'Redis', version: '7.0.15', evictionPolicy: 'noeviction', fsync: 'always' },
    ...{ isReplica: false, hasAof: true, isAofWritten: true, hasSnapshots: false },
    ...{ failsToSave: false, lacksReplicas: false },
  };

  it('is taken of the lanes whose limit is not passed', () => {
    for (const standing of [null, judgeRedis(sound, true)]) {
      expect(lanesTaken(null, standing)).toEqual(['transactional', 'bulk']);
      expect(lanesTaken({ lanes: ['bulk'], reason: '' }, standing)).toEqual(['transactional']);
    }
  });

  it.each([
    ['keeps less than it must', { fsync: 'everysec' }, true],
    ['is a replica', { isReplica: true }, false],
    ['cannot write its append-only file', { isAofWritten: false }, false],
    ['cannot save', { failsToSave: true }, false],
    ['has too few replicas', { lacksReplicas: true }, false],
  ])('is taken of no lane while Redis %s', (_, given, mustBeDurable) => {
    expect(lanesTaken(null, judgeRedis({ ...sound, ...given }, mustBeDurable))).toEqual([]);
  });
});
