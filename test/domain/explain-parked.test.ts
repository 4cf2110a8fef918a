/** What an email that is parked waits for, and about when it goes: each reason by itself, and which of them is told when several hold. */
import { describe, expect, it } from 'vitest';
import { explain } from '../../src/domain/explain.ts';
import { explainParked, isTended, type ParkedAt } from '../../src/domain/explain-parked.ts';
import { freshState } from '../../src/domain/standing.ts';
import { countBefore, goesAt, type RateLeft, type TransportReport } from '../../src/domain/transport-report.ts';
import type { TransportState } from '../../src/domain/transport-state.ts';
import { recipient, storedEmail } from '../support/requests.ts';

const now = Date.parse('2026-11-24T09:30:00Z');
const minute = 60_000;
const paused: TransportState = { ...freshState, paused: { at: now - minute, by: 'ak_7' } };
const open: TransportState = {
  ...freshState,
  breaker: {
    kind: 'open',
    reason: 'ECONNREFUSED',
    cause: 'connect',
    since: now - minute,
    tries: 3,
    probeAt: now + 5_000,
    trial: 'unneeded',
  },
};
const pace = (count: number, nextAt: number): RateLeft => ({
  count,
  windowMs: 1_000,
  remaining: null,
  nextAt,
  resetAt: null,
});
const quota = (count: number, remaining: number, nextAt = now): RateLeft => ({
  ...{ count, windowMs: minute, remaining, nextAt },
  resetAt: now + minute,
});

function reportOf(name: string, given: Partial<TransportReport> = {}): TransportReport {
  return {
    name,
    host: 'smtp.example.com:465',
    state: freshState,
    factor: 1,
    pool: { connections: 4, granted: null, open: 4, busy: 0, waiting: 0, hanging: 0, workers: 1 },
    limits: [],
    rates: [],
    parked: { transactional: 0, bulk: 0 },
    ...given,
  };
}

const parkedAt = (given: Partial<TransportReport>, more: Partial<ParkedAt> = {}): ParkedAt => ({
  ahead: 0,
  report: reportOf('ses', given),
  others: [],
  ...more,
});
const full = { connections: 4, granted: null, open: 4, busy: 4, waiting: 9, hanging: 0, workers: 1 };

describe('an email that is parked', () => {
  it('for a paused transport waits for a resume, whatever else is wrong', () => {
    const state = { ...open, paused: paused.paused };
    expect(explainParked(parkedAt({ state, rates: [quota(5, 0)], pool: full }), 'bulk', now)).toEqual({
      reason: 'transport_paused',
      summary:
        'Transport ses was paused at 2026-11-24T09:29:00.000Z by the key ak_7. This does not count as an attempt of the email. POST /v1/transports/ses/resume resumes it.',
      movesAt: null,
    });
  });

  it('for a transport in trouble waits for the next probe, and the answer names the others of its route', () => {
    const others = [reportOf('well'), reportOf('backup', { state: paused }), reportOf('last', { state: open })];
    expect(explainParked(parkedAt({ state: open }, { others }), 'bulk', now)).toEqual({
      reason: 'transport_degraded',
      summary:
        'Transport ses has been in trouble since 2026-11-24T09:29:00.000Z (ECONNREFUSED). This does not count as an attempt of the email. The transport is tried next at 2026-11-24T09:30:05.000Z; once that succeeds, the email is sent by itself. Transport backup of its route is paused too. Transport last of its route is in trouble too.',
      movesAt: now + 5_000,
    });
    const late = explainParked(parkedAt({ state: open }), 'bulk', now + 5_000);
    expect(late).toMatchObject({ summary: expect.stringContaining('The transport is tried next now'), movesAt: null });
  });

  it('for a transport out of budget shows how many go before it, and about when it goes', () => {
    const given = { rates: [pace(2, now + 300), quota(100, 40)], parked: { transactional: 5, bulk: 90 } };
    expect(explainParked(parkedAt(given, { ahead: 3 }), 'transactional', now)).toEqual({
      reason: 'waiting_for_budget',
      summary:
        'Transport ses may send 2 per second and 100 per minute. About 4 emails are before this one, which is sent at about 2026-11-24T09:30:02.300Z. The wait does not count as an attempt.',
      movesAt: now + 2_300,
    });
    expect(explainParked(parkedAt({ rates: [quota(10, 0, now + 9_000)] }), 'bulk', now)).toMatchObject({
      reason: 'waiting_for_budget',
      summary: expect.stringContaining('No email is before this one, which is sent at about 2026-11-24T09:30:09.000Z.'),
      movesAt: now + 9_000,
    });
  });

  it('for a transport that is slowed down says so', () => {
    const given = { factor: 0.0156, rates: [pace(0.25, now + 300)] };
    expect(explainParked(parkedAt(given), 'bulk', now).summary).toMatch(
      /^Transport ses may send one email every 4 seconds, slowed to 2 % because its server asked for less\. No email/,
    );
    const nearlyOne = { factor: 0.0156, rates: [pace(0.9, now + 300)] };
    expect(explainParked(parkedAt(nearlyOne), 'bulk', now).summary).toContain(
      'may send one email every second, slowed',
    );
  });

  it('for a transport all of whose connections are taken waits for one, also when its rates would allow more', () => {
    const busy = { reason: 'transport_busy', movesAt: null };
    expect(explainParked(parkedAt({ pool: full }), 'bulk', now)).toEqual({
      ...busy,
      summary:
        'Transport ses had no connection free for it: now 4 of 4 have a message in hand. The email is sent in its turn when connections become free. The wait does not count as an attempt. While transactional mail waits too, bulk mail gets one place in 4; campaigns and other bulk mail take turns.',
    });
    expect(explainParked(parkedAt({ pool: full }), 'transactional', now).summary).toMatch(
      /as an attempt\. It goes before bulk mail, which gets one place in 4 while both wait\.$/,
    );
    const unused = [pace(10, now - 1_000), quota(100, 40)];
    expect(explainParked(parkedAt({ pool: full, rates: unused }), 'bulk', now)).toMatchObject({
      ...busy,
      summary: expect.stringContaining('in hand, although its rates would allow more. The email'),
    });
    const used = { pool: full, rates: [pace(10, now - 900), quota(100, 40)] };
    expect(explainParked(parkedAt(used), 'bulk', now)).toMatchObject({
      reason: 'waiting_for_budget',
      summary: expect.stringContaining('No email is before this one, which is sent in a moment.'),
      movesAt: null,
    });
    const inSteps = { rates: [pace(10, now - 1_000), quota(100, 40)] };
    expect(explainParked(parkedAt(inSteps), 'bulk', now)).toMatchObject({ reason: 'waiting_for_budget' });
  });

  it('for a transport whose server grants fewer connections than configured says how many, also when its rates would allow more', () => {
    const pool = { ...full, connections: 100, granted: 1, open: 1, busy: 1, waiting: 0 };
    expect(explainParked(parkedAt({ pool }), 'transactional', now)).toEqual({
      reason: 'transport_busy',
      summary:
        'Transport ses had no connection free for it: its server grants 1 of the 100 configured at the moment (more are tried as time goes by), and 1 now have a message in hand. The email is sent in its turn when connections become free. The wait does not count as an attempt. It goes before bulk mail, which gets one place in 4 while both wait.',
      movesAt: null,
    });
    // More may be tried than were granted, and a connection is free between two messages.
    const trying = { pool: { ...pool, granted: 2, busy: 0 }, rates: [pace(10, now - 1_000), quota(100, 40)] };
    expect(explainParked(parkedAt(trying), 'bulk', now)).toMatchObject({
      reason: 'transport_busy',
      summary: expect.stringContaining('in hand, although its rates would allow more. The email'),
    });
    const used = { pool, rates: [quota(100, 0, now + 9_000)] };
    expect(explainParked(parkedAt(used), 'bulk', now)).toMatchObject({ reason: 'waiting_for_budget' });
  });

  it('for a transport that answers nothing waits for it or another of its route, and names the others that answer nothing', () => {
    const hung = { pool: { ...full, hanging: 4 }, rates: [quota(5, 0)] };
    const others = [reportOf('backup', { pool: { ...full, busy: 1, hanging: 1 } }), reportOf('well', { pool: full })];
    expect(explainParked(parkedAt(hung, { others }), 'bulk', now)).toEqual({
      reason: 'transport_hanging',
      movesAt: null,
      summary:
        'Transport ses has not answered any of the 4 messages it was given for much longer than usual. Those are not sent elsewhere, because it may have them. The email is sent as soon as one is answered or its connection ends, or by another transport of its route. The wait does not count as an attempt. Transport backup of its route is not answering too.',
    });
    const one = { pool: { ...full, busy: 1, hanging: 1 } };
    expect(explainParked(parkedAt(one), 'bulk', now).summary).toMatch(/^Transport ses has not answered the message it/);
    // Another worker's messages are answered.
    const some = { pool: { ...full, busy: 4, hanging: 3 } };
    expect(explainParked(parkedAt(some), 'bulk', now)).toMatchObject({ reason: 'transport_busy' });
    expect(explainParked(parkedAt({ ...hung, state: open }), 'bulk', now).reason).toBe('transport_degraded');
  });

  it('waits for a worker where none is left, unless it could not let it go anyway', () => {
    const none = { pool: { ...full, workers: 0 } };
    expect(isTended(parkedAt(none))).toBe(false);
    expect(isTended(parkedAt({ ...none, state: open }))).toBe(false);
    expect(isTended(parkedAt({ ...none, state: paused }))).toBe(true);
    expect(isTended(parkedAt({}))).toBe(true);
  });
});

describe('a recipient', () => {
  const whys = (parked: ParkedAt | null, job: 'absent' | 'waiting' | 'active' = 'absent') => {
    const due = recipient('due', { nextAttemptAt: now - minute });
    const tried = recipient('tried', { nextAttemptAt: now, attempts: 2, status: 'deferred', reason: 'dropped' });
    const later = recipient('later', { nextAttemptAt: now + minute, status: 'deferred' });
    const policy = { scheduleMs: [minute], maxAgeMs: 60 * minute };
    const where = { job, waiting: 0, fileHost: null, parked, campaign: null };
    return explain(storedEmail([due, tried, later]), where, policy, now).recipients.map(({ why }) => why);
  };
  const next = `next attempt at ${new Date(now + minute).toISOString()}`;

  it.each([
    ['to be resumed', parkedAt({ state: paused })],
    ['to be well again', parkedAt({ state: open })],
    ['to have some of its rate left', parkedAt({ rates: [quota(5, 0)] })],
    ['to answer', parkedAt({ pool: { ...full, hanging: 4 } })],
    ['to have a connection free', parkedAt({ pool: full })],
  ])('that is due waits for its transport %s, and has no time that is past', (what, parked) => {
    const waits = `waits for transport ses ${what}`;
    expect(whys(parked)).toEqual([waits, `dropped; after 2 attempts; ${waits}`, next]);
  });

  it('that is due and not parked waits for a worker, or is with one', () => {
    const untended = parkedAt({ pool: { ...full, workers: 0 } });
    for (const said of [whys(null), whys(null, 'waiting'), whys(untended)])
      expect(said[0]).toBe('is due and waits for a worker');
    expect(whys(null, 'active')[0]).toBe('is being handled by a worker');
  });
});

it('one message in four is bulk while transactional mail is parked too', () => {
  const parked = { transactional: 100, bulk: 100 };
  expect([0, 1, 2, 3, 30].map((ahead) => countBefore('transactional', ahead, parked))).toEqual([0, 1, 2, 4, 40]);
  expect([0, 1, 50].map((ahead) => countBefore('bulk', ahead, parked))).toEqual([3, 7, 150]);
  expect(countBefore('bulk', 50, { transactional: 0, bulk: 100 })).toBe(50);
  expect(countBefore('transactional', 30, { transactional: 100, bulk: 2 })).toBe(32);
});

it('the slowest rate gives the time: a pace by its gaps, a quota once its rest is used up', () => {
  expect(goesAt([pace(10, now - 500)], 20, now)).toBe(now + 2_000);
  expect(goesAt([pace(10, now + 50)], 0, now)).toBe(now + 50);
  expect(goesAt([quota(60, 5)], 4, now)).toBe(now);
  expect(goesAt([quota(60, 0, now + 700)], 10, now)).toBe(now + 10_700);
  expect(goesAt([pace(10, now), quota(60, 5, now)], 15, now)).toBe(now + 10_000);
});
