/** Times in a request: when to send it, and until when it is worth sending. */
import { describe, expect, it } from 'vitest';
import { askedEmailFor } from '../../src/domain/email-request.ts';
import { faultsOf, good, testLimits } from '../support/requests.ts';

describe('a time', () => {
  it.each([
    ['in 30 seconds', 30_000],
    ['in 1 min', 60_000],
    ['in 5 mins', 5 * 60_000],
    ['in 90 minutes', 90 * 60_000],
    ['in 1 hour', 3_600_000],
    ['in 2 weeks', 14 * 86_400_000],
    ['in 366 days', 366 * 86_400_000],
  ])('to send may be asked for as %s, counted from now', (scheduled_at, ms) => {
    const at = askedEmailFor({ ...testLimits, now: () => 5_000 });
    expect(at.parse({ ...good, scheduled_at }).scheduled_at).toBe(5_000 + ms);
  });

  it.each([
    ['2030-01-31T09:00:00+0000', '2030-01-31T09:00:00Z'],
    ['2030-01-31T09:00:00.123+0130', '2030-01-31T07:30:00.123Z'],
    ['2030-01-31T09:00:00.123456-01', '2030-01-31T10:00:00.123Z'],
    ['2030-01-31T09:00:00+02', '2030-01-31T07:00:00Z'],
    ['2030-01-31T09:00Z', '2030-01-31T09:00:00Z'],
    ['2030-01-31T09:00-01:30', '2030-01-31T10:30:00Z'],
    ['2030-01-31T09:00+02', '2030-01-31T07:00:00Z'],
  ])('may be written as %s', (scheduled_at, same) => {
    const at = askedEmailFor({ ...testLimits, now: () => Date.parse('2030-01-01T00:00:00Z') });
    expect(at.parse({ ...good, scheduled_at }).scheduled_at).toBe(Date.parse(same));
    expect(at.parse({ ...good, expires_at: scheduled_at }).expires_at).toBe(Date.parse(same));
  });

  it.each([
    '2030-01-31T09:00:00',
    '2030-01-31T09:00',
    '2030-01-31T09Z',
    '2030-01-31',
    '2030-01-31T09:00:00+1',
    '2030-01-31T09:00:00+9900',
    '2030-01-31T09:00:00+010',
  ])('%s has no offset that can be read', (time) => {
    expect(faultsOf({ ...good, scheduled_at: time, expires_at: time })).toEqual([
      '/expires_at must be an ISO 8601 time with an offset, such as 2030-01-31T09:00:00Z',
      '/scheduled_at must be an ISO 8601 time with an offset, such as 2030-01-31T09:00:00Z, or like `in 5 minutes`',
    ]);
  });

  it.each(['2027-02-30', '2027-02-29', '2027-13-01', '2027-00-00'])('%s is no day, which the fault says', (day) => {
    const time = `${day}T10:00:00Z`;
    expect(faultsOf({ ...good, scheduled_at: time, expires_at: time })).toEqual([
      `/expires_at is on ${day}, and there is no such day`,
      `/scheduled_at is on ${day}, and there is no such day`,
    ]);
  });

  it.each(['2030-01-31T09:00:00 01:00', '2030-01-31T09:00 0100'])(
    '%s has lost its plus on the way in a URL',
    (time) => {
      expect(faultsOf({ ...good, expires_at: time })).toEqual([
        '/expires_at must be an ISO 8601 time with an offset, such as 2030-01-31T09:00:00Z; in a URL, write + as %2B',
      ]);
    },
  );

  it.each(['in 367 days', 'in 999999 hours'])('%s is refused as beyond a year', (scheduled_at) => {
    expect(faultsOf({ ...good, scheduled_at })).toEqual(['/scheduled_at may be a year ahead at most']);
  });

  it.each(['in a minute', 'in -1 min', 'in 1 fortnight', 'in 1.5 hours', 'tomorrow at 9am', '1 min', ['in 1 min'], 5])(
    '%s is no time: the fault has examples of both forms',
    (scheduled_at) => {
      expect(faultsOf({ ...good, scheduled_at })).toEqual([
        '/scheduled_at must be an ISO 8601 time with an offset, such as 2030-01-31T09:00:00Z, or like `in 5 minutes`',
      ]);
    },
  );
});
