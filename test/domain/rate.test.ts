/** Rates: read whole, written back, compared, and which window is the tightest. */
import { describe, expect, it } from 'vitest';
import { formatRates, keepsTo, parseRates, type Rate, tightest } from '../../src/domain/rate.ts';

function rates(text: string): readonly Rate[] {
  const parsed = parseRates(text);
  if ('faults' in parsed) throw new Error(parsed.faults.join());
  return parsed;
}

function limit(text: string): Rate {
  const [rate] = rates(text);
  if (rate === undefined) throw new Error('none');
  return rate;
}

describe('a rate', () => {
  it.each([
    ['14/s', [{ count: 14, windowMs: 1_000 }], '14/s'],
    ['500/m', [{ count: 500, windowMs: 60_000 }], '500/m'],
    ['5000/h', [{ count: 5_000, windowMs: 3_600_000 }], '5000/h'],
    [
      '50000/d, 14/s',
      [
        { count: 14, windowMs: 1_000 },
        { count: 50_000, windowMs: 86_400_000 },
      ],
      '14/s,50000/d',
    ],
  ])('%s is read and written back', (text, parsed, written) => {
    expect(parseRates(text)).toEqual(parsed);
    expect(formatRates(rates(text))).toBe(written);
  });

  it('has every fault reported', () => {
    const unreadable = (part: string) =>
      `has a rate that cannot be read: ${part} (expected a count from 1 and a unit, such as 14/s)`;
    expect(parseRates('14/s,0/m,fast,5/s,-1/h,1.5/d,99999999999/s,')).toEqual({
      faults: [
        unreadable('0/m'),
        unreadable('fast'),
        'has two rates per second',
        unreadable('-1/h'),
        unreadable('1.5/d'),
        unreadable('99999999999/s'),
        unreadable(''),
      ],
    });
    expect(parseRates('1000000001/s')).toEqual({ faults: [unreadable('1000000001/s')] });
  });
});

describe('the rate of a sender', () => {
  it.each([
    ['14/s', '14/s', true],
    ['15/s', '14/s', false],
    ['8/s', '500/m', true],
    ['10/s', '500/m', false],
    ['14/h', '14/s', true],
    // 500 in an hour may all come in one second.
    ['500/h', '14/s', false],
    ['10/s,400/m', '500/m', true],
  ])('%s keeps to %s: %s', (own, granted, expected) => {
    expect(keepsTo(rates(own), limit(granted))).toBe(expected);
  });

  it('no rate keeps to no limit', () => {
    expect(keepsTo(null, limit('1000/s'))).toBe(false);
  });
});

it('the tightest window has the least left and, of several, the longest wait', () => {
  const second = { count: 5, windowMs: 1_000, remaining: 2, resetMs: 400 };
  const minute = { count: 50, windowMs: 60_000, remaining: 2, resetMs: 9_000 };
  const hour = { count: 500, windowMs: 3_600_000, remaining: 30, resetMs: 90_000 };
  expect(tightest([second, minute, hour])).toBe(minute);
  expect(tightest([{ ...second, remaining: 1 }, minute])).toMatchObject({ windowMs: 1_000 });
});
