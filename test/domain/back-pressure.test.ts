/** Back-pressure: how a memory line is read, and when a line is crossed. */
import { describe, expect, it } from 'vitest';
import { overLine, parseMemoryLine } from '../../src/domain/back-pressure.ts';

const mb = 1_024 ** 2;

describe('a memory line', () => {
  it.each([
    ['90%', { percent: 90 }],
    ['512mb', { bytes: 512 * mb }],
    ['2gb', { bytes: 2_048 * mb }],
    ['64KB', { bytes: 65_536 }],
  ])('%s is read', (text, line) => {
    expect(parseMemoryLine(text)).toEqual(line);
  });

  it.each(['', '0%', '101%', '90', '1.5gb', '-1mb', '2tb', '0mb'])('%j is none', (text) => {
    expect(parseMemoryLine(text)).toBeNull();
  });
});

describe('a load', () => {
  const lines = { waitingEmails: 5, redisMemory: { percent: 90 } };
  const load = (waitingEmails: number, used: number, max = 100 * mb) => ({ waitingEmails, redisMemory: { used, max } });

  it('under its lines leaves room', () => {
    expect(overLine(load(4, 89 * mb), lines)).toBeNull();
  });

  it('on a line is over it, and says by how much and whose line it is', () => {
    expect(overLine(load(5, 0), lines)).toBe('5 emails are waiting, the limit is 5 (MAX_WAITING_EMAILS)');
    expect(overLine(load(0, 90 * mb), lines)).toBe('Redis uses 90.0 MB, the limit is 90.0 MB (MAX_REDIS_MEMORY)');
    expect(overLine(load(9, 95 * mb), lines)).toBe(
      '9 emails are waiting, the limit is 5 (MAX_WAITING_EMAILS); Redis uses 95.0 MB, the limit is 90.0 MB (MAX_REDIS_MEMORY)',
    );
  });

  it('in a Redis without a limit is never over a share of it, but over a size', () => {
    expect(overLine(load(0, 900 * mb, 0), lines)).toBeNull();
    expect(overLine(load(0, 900 * mb, 0), { ...lines, redisMemory: { bytes: 512 * mb } })).toMatch(/^Redis uses 900.0/);
  });
});
