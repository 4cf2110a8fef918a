/** What follows from an answer to a POST: success, another try, the end, or the end of the endpoint. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decidePost, pauseMs, retryAfterMs } from '../../src/domain/post.ts';

const policy = { scheduleMs: [5_000, 300_000], disableAfterMs: 3_600_000 };
const healthy = { failures: 0, failingSince: null };
const at = (attempt: number, events = 1) => ({ attempt, events, now: 10_000_000, rand: 0 });
const answer = (status: number, retryAfter: string | null = null) => ({ status, retryAfter });

describe('an answer', () => {
  it.each([200, 204, 299])('%i is success, however long it failed before', (status) => {
    expect(decidePost(answer(status), at(3), { failures: 90, failingSince: 0 }, policy)).toEqual({ kind: 'delivered' });
  });

  it.each([0, 100, 301, 302, 307, 404, 429, 500, 503])(
    '%i is tried again on the schedule, and has failed after it',
    (status) => {
      const decide = (attempt: number) => decidePost(answer(status), at(attempt), healthy, policy);
      expect(decide(1)).toEqual({ kind: 'again', at: 10_005_000, holdUntil: null });
      expect(decide(2)).toEqual({ kind: 'again', at: 10_300_000, holdUntil: null });
      expect(decide(3)).toEqual({ kind: 'failed' });
    },
  );

  it('410 ends the endpoint at once', () => {
    expect(decidePost(answer(410), at(1), healthy, policy)).toEqual({ kind: 'disable', reason: 'gone' });
  });

  it('413 to several events has them go out in two, and to one is tried again', () => {
    expect(decidePost(answer(413), at(9, 2), { failures: 90, failingSince: 0 }, policy)).toEqual({ kind: 'split' });
    expect(decidePost(answer(413), at(1), healthy, policy)).toMatchObject({ kind: 'again' });
  });

  it('that fails ends an endpoint that has been failing for the time it is given, not before', () => {
    const since = (failingSince: number) => decidePost(answer(500), at(1), { failures: 9, failingSince }, policy).kind;
    expect([since(10_000_000 - 3_600_000), since(10_000_001 - 3_600_000)]).toEqual(['disable', 'again']);
  });

  it.each([
    [429, '600', 600_000],
    [503, '2', 5_000],
    [503, '99999999', 3_600_000],
    [500, '600', 5_000],
  ])('%i with Retry-After %s comes again after %i ms', (status, header, waitMs) => {
    const decision = decidePost(answer(status, header), at(1), healthy, policy);
    expect(decision).toMatchObject({ kind: 'again', at: 10_000_000 + waitMs });
  });

  it('that asks to wait holds the whole endpoint', () => {
    expect(decidePost(answer(429, '2'), at(1), healthy, policy)).toMatchObject({ holdUntil: 10_002_000 });
  });
});

describe('Retry-After', () => {
  const now = Date.parse('2026-11-26T00:00:00Z');
  it.each([
    ['120', 120_000],
    [' 7 ', 7_000],
    ['Thu, 26 Nov 2026 00:05:00 GMT', 300_000],
    ['Thu, 26 Nov 2026 09:00:00 GMT', 3_600_000],
    ['86400', 3_600_000],
    ['Wed, 25 Nov 2026 23:00:00 GMT', null],
    ['0', null],
    ['-5', null],
    ['1.5', null],
    ['soon', null],
    ['2026', 2_026_000],
    ['2026-11-26T01:00:00Z', null],
    ['', null],
    [null, null],
  ])('%j asks for %j ms', (header, ms) => {
    expect(retryAfterMs(header, now)).toBe(ms);
  });

  it('never asks for more than an hour, nor for less than nothing', () => {
    fc.assert(
      fc.property(fc.string(), fc.date({ noInvalidDate: true }), (text, date) => {
        for (const header of [text, date.toUTCString()]) {
          const ms = retryAfterMs(header, now);
          expect(ms === null || (ms > 0 && ms <= 3_600_000)).toBe(true);
        }
      }),
    );
  });
});

it('an endpoint that keeps failing is left alone for longer and longer, a minute at most', () => {
  expect([0, 8_000, 120_000, 1e9].map(pauseMs)).toEqual([1_000, 2_000, 30_000, 60_000]);
});
