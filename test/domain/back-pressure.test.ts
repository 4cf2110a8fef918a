/** Back-pressure: how a limit on memory is read, and when a limit is passed. */
import { describe, expect, it } from 'vitest';
import { limitPassed, parseMemoryLimit } from '../../src/domain/back-pressure.ts';

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
  const load = (waitingEmails: number, used: number, max = 100 * mb) => ({ waitingEmails, redisMemory: { used, max } });

  it('under its limits leaves room', () => {
    expect(limitPassed(load(4, 89 * mb), limits)).toBeNull();
  });

  it('at a limit has passed it, and says by how much and whose limit it is', () => {
    expect(limitPassed(load(5, 0), limits)).toBe('5 emails are waiting, the limit is 5 (MAX_WAITING_EMAILS)');
    expect(limitPassed(load(0, 90 * mb), limits)).toBe('Redis uses 90.0 MB, the limit is 90.0 MB (MAX_REDIS_MEMORY)');
    expect(limitPassed(load(9, 95 * mb), limits)).toBe(
      '9 emails are waiting, the limit is 5 (MAX_WAITING_EMAILS); Redis uses 95.0 MB, the limit is 90.0 MB (MAX_REDIS_MEMORY)',
    );
  });

  it('in a Redis without a limit is never over a share of it, but over a size', () => {
    expect(limitPassed(load(0, 900 * mb, 0), limits)).toBeNull();
    expect(limitPassed(load(0, 900 * mb, 0), { ...limits, redisMemory: { bytes: 512 * mb } })).toMatch(
      /^Redis uses 900.0/,
    );
  });
});
