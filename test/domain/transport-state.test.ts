/** The breaker and the brake of a transport: when they change, and what the transport may do then. */
import { describe, expect, it } from 'vitest';
import { type FaultCause, faultCauses } from '../../src/domain/fault-cause.ts';
import type { Rate } from '../../src/domain/rate.ts';
import {
  afterFault,
  afterProbeBegan,
  afterRefusal,
  afterSlowDown,
  afterSuccess,
  afterTrialBegan,
  afterTrialUnused,
  type Brake,
  type Breaker,
  brakeFactor,
  breakerEvent,
  closedBreaker,
  type Fault,
  isProbeDue,
  isTrialMissed,
  isTrialOpen,
  pacedRates,
} from '../../src/domain/transport-state.ts';

const start = 1_700_000_000_000;
const server = { host: 'mail.example.com', port: 587 };
const refused: Fault = { cause: 'connect', reason: 'ECONNREFUSED' };
const rejected: Fault = { cause: 'login', reason: '535 no such user' };

function afterFaults(causes: readonly FaultCause[], from: Breaker = closedBreaker): Breaker {
  return causes.reduce((breaker, cause) => afterFault(breaker, { cause, reason: cause }, start), from);
}

/** Waits between one probe and the next when all of them fail, in seconds. */
function probeWaits(fault: Fault, count: number): number[] {
  let breaker = afterFaults([fault.cause, fault.cause, fault.cause]);
  let now = start;
  return Array.from({ length: count }, () => {
    if (breaker.kind === 'closed') throw new Error('closed');
    const waited = breaker.probeAt - now;
    now = breaker.probeAt;
    const begun = afterProbeBegan(breaker, now);
    if (begun === null) throw new Error('not due');
    breaker = afterFault(begun, fault, now);
    return waited / 1_000;
  });
}

describe('the breaker', () => {
  it.each(faultCauses.filter((cause) => cause !== 'login'))('opens at the third fault in a row: %s', (cause) => {
    expect(afterFaults(['connect', 'dns'])).toEqual({ kind: 'closed', faults: 2 });
    const open = {
      kind: 'open',
      cause,
      reason: cause,
      since: start,
      tries: 0,
      probeAt: start + (cause === 'limit' ? 30_000 : 1_000),
      trial: 'unneeded',
    };
    expect(afterFaults(['connect', 'dns', cause])).toEqual(open);
  });

  it('opens at the first refused login', () => {
    expect(afterFault(closedBreaker, rejected, start)).toMatchObject({ kind: 'open', probeAt: start + 5_000 });
  });

  it('does not open when messages go through between the faults', () => {
    const twice = afterFaults(['tls', 'tls']);
    expect(afterFaults(['tls', 'tls'], afterSuccess(twice, 'message', start))).toEqual({ kind: 'closed', faults: 2 });
    expect(afterSuccess(closedBreaker, 'message', start)).toBe(closedBreaker);
  });

  it('is closed by a probe, and not by a message whose session began before it opened', () => {
    const open = afterFaults(['login']);
    expect(afterSuccess(open, 'message', start)).toBe(open);
    expect(afterSuccess(open, 'probe', start)).toEqual(closedBreaker);
  });

  it('is closed by a message where no connection came about: a server that takes mail is well', () => {
    for (const cause of ['connect', 'protocol'] as const)
      expect(afterSuccess(afterFaults([cause, cause, cause]), 'message', start)).toEqual(closedBreaker);
    const met = afterFault(afterFaults(['connect', 'connect']), { ...refused, byMessage: true }, start);
    expect(afterSuccess(met, 'message', start)).toBe(met);
  });

  it('opened by what messages met is closed by a message alone, which goes after a login that went well', () => {
    const open = afterFault(closedBreaker, { ...rejected, byMessage: true }, start);
    expect([isTrialOpen(open), afterTrialBegan(open, start)]).toEqual([false, null]);
    const probed = afterSuccess(afterProbeBegan(open, start + 5_000) as Breaker, 'probe', start + 5_100);
    expect(probed).toEqual({ ...open, tries: 1, probeAt: start + 15_000, trial: 'open' });
    expect([isTrialOpen(probed), isProbeDue(probed, start + 60_000)]).toEqual([true, false]);
    expect([44_999, 45_000].map((ms) => isTrialMissed(probed, start + ms))).toEqual([false, true]);
    expect([open, closedBreaker].map((breaker) => isTrialMissed(breaker, start + 90_000))).toEqual([false, false]);
    for (const of of ['probe', 'message'] as const) expect(afterSuccess(probed, of, start + 60_000)).toBe(probed);
    // Whoever waits for a message that never came back probes again.
    const tried = afterTrialBegan(probed, start + 60_000) as Breaker;
    expect(tried).toEqual({ ...open, tries: 1, probeAt: start + 70_000 });
    expect(afterTrialBegan(tried, start + 60_000)).toBeNull();
    expect(afterFault(tried, { ...rejected, byMessage: true }, start + 60_100)).toBe(tried);
    expect(afterSuccess(tried, 'trial', start)).toBe(closedBreaker);
  });

  it('has its trial missed no sooner than half a minute after that opened, or was given back', () => {
    const open = afterFault(closedBreaker, { ...rejected, byMessage: true }, start);
    const probed = afterSuccess(open, 'probe', start + 600_000);
    const missed = (breaker: Breaker, at: number) => [29_999, 30_000].map((ms) => isTrialMissed(breaker, at + ms));
    expect(missed(probed, start + 600_000)).toEqual([false, true]);
    const tried = afterTrialBegan(probed, start + 601_000) as Breaker;
    const unused = afterTrialUnused(tried, start + 700_000);
    expect([isTrialOpen(unused), ...missed(unused, start + 700_000)]).toEqual([true, false, true]);
    expect(afterTrialUnused(unused, start + 800_000)).toBe(unused);
  });

  it('opened by a connection needs a message as well once one met trouble, and still does when the server is away then', () => {
    const open = afterFaults(['connect', 'connect', 'connect']);
    const met = afterFault(open, { ...refused, byMessage: true }, start);
    expect(met).toEqual({ ...open, trial: 'needed' });
    expect(afterFault(met, rejected, start)).toMatchObject({ cause: 'login', trial: 'needed' });
    const probed = afterSuccess(met, 'probe', start);
    expect(afterFault(probed, rejected, start)).toMatchObject({ tries: 0, trial: 'needed' });
    expect(afterFault(probed, { cause: 'dns', reason: 'gone' }, start)).toMatchObject({ trial: 'open' });
  });

  it('is probed after 1, 2, 4 seconds and then every 5, after a refused login after 5, 10, 20 and then every 30, its limit used up every 300 in the end', () => {
    expect(probeWaits(refused, 6)).toEqual([1, 2, 4, 5, 5, 5]);
    expect(probeWaits(rejected, 6)).toEqual([5, 10, 20, 30, 30, 30]);
    expect(probeWaits({ cause: 'limit', reason: '550' }, 6)).toEqual([30, 60, 120, 300, 300, 300]);
  });

  it('shows the latest trouble, and keeps its times as long as the kind stays the same', () => {
    const open = afterFaults(['connect', 'connect', 'connect']);
    const later = start + 900;
    expect(afterFault(open, { cause: 'connect', reason: 'other words' }, later)).toBe(open);
    expect(afterFault(open, { cause: 'dns', reason: 'gone' }, later)).toEqual({
      ...open,
      cause: 'dns',
      reason: 'gone',
    });
    const login = { cause: 'login', reason: rejected.reason, since: start, tries: 0, probeAt: later + 5_000 };
    expect(afterFault(open, rejected, later)).toEqual({ kind: 'open', ...login, trial: 'unneeded' });
  });

  it('is due for a probe at its time, and also when a clock was put back far before it', () => {
    const open = afterFaults(['login']);
    const dueAt = [start, start + 4_999, start + 5_000, start + 60_000, start - 3_600_000];
    expect(dueAt.map((now) => isProbeDue(open, now))).toEqual([false, false, true, true, true]);
    expect(afterProbeBegan(open, start)).toBeNull();
    expect(isProbeDue(closedBreaker, start)).toBe(false);
    expect(afterProbeBegan(closedBreaker, start)).toBeNull();
  });

  it('has an event for opening and one for closing, and for nothing else', () => {
    const open = afterFault(closedBreaker, rejected, start);
    const told = (before: Breaker, after: Breaker) => breakerEvent('ses', [before, after], { id: 'ev_1', at: start });
    const event = { id: 'ev_1', at: start, transport: 'ses' };
    expect(told(closedBreaker, open)).toEqual({ ...event, type: 'transport.degraded', ...rejected });
    expect(told(open, closedBreaker)).toEqual({ ...event, type: 'transport.recovered', cause: null, reason: null });
    expect(told(open, { ...open })).toBeNull();
    expect(told(closedBreaker, { kind: 'closed', faults: 1 })).toBeNull();
  });
});

describe('the brake', () => {
  it('halves once in five seconds, down to a sixty-fourth', () => {
    let brake: Brake | null = null;
    const factors: number[] = [];
    for (let second = 0; second <= 40; second++) {
      brake = afterSlowDown(brake, server, start + second * 1_000);
      if (brake.at === start + second * 1_000) factors.push(brake.factor);
    }
    expect(factors).toHaveLength(9);
    // It has doubled a little between two halvings.
    expect(factors[0]).toBe(0.5);
    expect(factors[1]).toBeCloseTo((0.5 * 2 ** (5 / 60)) / 2);
    expect(factors.slice(6)).toEqual([1 / 64, 1 / 64, 1 / 64]);
  });

  it('doubles each minute, continuously, until the usual pace is back', () => {
    const brake = { factor: 1 / 8, at: start, of: server };
    const minutes = [0, 0.5, 1, 2, 3, 4, 60];
    expect(minutes.map((minute) => brakeFactor(brake, server, start + minute * 60_000))).toEqual([
      0.125,
      0.125 * Math.SQRT2,
      0.25,
      0.5,
      1,
      1,
      1,
    ]);
    expect(brakeFactor(null, server, start)).toBe(1);
  });

  it('is not held for hours by a clock that was put back', () => {
    const brake = { factor: 1 / 64, at: start, of: server };
    expect(brakeFactor(brake, server, start - 1_000)).toBe(1 / 64);
    expect(brakeFactor(brake, server, start - 3_600_000)).toBe(1);
    expect(afterSlowDown(brake, server, start - 1_000)).toBe(brake);
    expect(afterSlowDown(brake, server, start - 3_600_000)).toEqual({ factor: 0.5, at: start - 3_600_000, of: server });
  });

  it('keeps what is known of how long a message takes while it holds, and no longer', () => {
    const brake = afterSlowDown(null, server, start, 20);
    expect(brake).toEqual({ factor: 0.5, at: start, of: server, messageMs: 20 });
    expect(afterSlowDown(brake, server, start + 30_000)).toMatchObject({ messageMs: 20 });
    expect(afterSlowDown(brake, server, start + 30_000, 40)).toMatchObject({ messageMs: 40 });
    expect(afterSlowDown(brake, server, start + 60_000)).toEqual({ factor: 0.5, at: start + 60_000, of: server });
    expect(afterSlowDown(null, server, start)).toEqual({ factor: 0.5, at: start, of: server });
  });

  it('learns from any worker how long a message takes, also just after it started', () => {
    const unknown = { factor: 0.5, at: start, of: server };
    const brake = { ...unknown, messageMs: 60_000 };
    for (const before of [brake, unknown])
      expect(afterSlowDown(before, server, start + 1_000, 200)).toEqual({ ...unknown, messageMs: 200 });
    for (const known of [undefined, 60_000]) expect(afterSlowDown(brake, server, start + 1_000, known)).toBe(brake);
  });
});

describe('what a transport may do', () => {
  const perSecond = { count: 14, windowMs: 1_000 };
  const perMinute = { count: 500, windowMs: 60_000 };
  const perDay = { count: 50_000, windowMs: 86_400_000 };
  const limits = { connections: 20, rates: [perSecond, perMinute, perDay] };
  const settings = { ...limits, ...server };
  const braked = (factor: number) => ({ brake: { factor, at: start, of: server }, granted: null });
  const paced = (factor: number, given = settings) => pacedRates(given, braked(factor), start);

  it('is all that its settings say when nothing brakes it', () => {
    expect(pacedRates(settings, { brake: null, granted: null }, start)).toEqual(limits);
    expect(paced(0.5, settings)).not.toEqual(limits);
    expect(pacedRates(settings, braked(0.5), start + 60_000)).toEqual(limits);
  });

  it('is as many connections as its server granted, then one more each five seconds, and twice as many each minute', () => {
    const granted = { connections: 4, at: start, of: settings };
    const after = (ms: number) => pacedRates(settings, { brake: null, granted }, start + ms).connections;
    expect([0, 4_999, 5_000, 25_000, 59_999].map(after)).toEqual([4, 4, 5, 9, 15]);
    const many = { ...settings, connections: 1_000 };
    const of60 = { connections: 60, at: start, of: many };
    expect(pacedRates(many, { brake: null, granted: of60 }, start + 120_000).connections).toBe(240);
    expect(after(600_000)).toBe(20);
  });

  it('is not limited by a grant of another server, or by one of this server when fewer were allowed', () => {
    const granted = { connections: 4, at: start, of: settings };
    for (const other of [{ host: 'mx.example.org' }, { port: 25 }, { connections: 30 }])
      expect(pacedRates({ ...settings, ...other }, { brake: null, granted }, start).connections).toBeGreaterThan(4);
  });

  it('is what the worker said that counted the most connections, of those that were refused at once', () => {
    const refused = (connections: number, ms: number) => ({ connections, at: start + ms, of: settings });
    expect(afterRefusal(refused(20, 0), refused(12, 1_999))).toEqual(refused(20, 0));
    expect(afterRefusal(refused(20, 0), refused(21, 500))).toEqual(refused(21, 500));
    expect(afterRefusal(refused(20, 0), refused(12, 2_000))).toEqual(refused(12, 2_000));
    expect(afterRefusal(null, refused(12, 0))).toEqual(refused(12, 0));
  });

  it('is the share that the brake leaves of connections and pace; a quota stays, of which much may be used already', () => {
    expect(paced(0.25)).toEqual({
      connections: 5,
      rates: [{ ...perSecond, count: 3.5 }, { ...perMinute, count: 125 }, perDay],
    });
  });

  it('is a share of what one connection carries where less than one is left, without a step', () => {
    const paceAt = (factor: number, connections: number, rates: readonly Rate[] = []) => {
      const brake = { factor, at: start, of: server, messageMs: 20 };
      return pacedRates({ ...settings, connections, rates }, { brake, granted: null }, start);
    };
    const carried = (count: number) => ({ connections: 1, rates: [{ count, windowMs: 1_000 }] });
    expect(paceAt(0.999, 1).rates[0]?.count).toBeCloseTo(50, 0);
    expect(paceAt(1 / 2, 1)).toEqual(carried(25));
    expect(paceAt(1 / 8, 10)).toEqual({ connections: 1, rates: [] });
    expect(paceAt(1 / 16, 10)).toEqual(carried(50 * (10 / 16)));
    expect(paceAt(1 / 64, 16)).toEqual(carried(12.5));
    // The rate is less than a connection carries, or more.
    expect(paceAt(1 / 2, 1, [perSecond])).toEqual(carried(7));
    expect(paceAt(1 / 2, 1, [{ ...perSecond, count: 80 }])).toEqual(carried(25));
  });

  it('is that share of its rate if the capacity of a connection is unknown, and of one message a second without a rate', () => {
    const pacesAt = (factor: number, ...rates: Rate[]) => paced(factor, { ...settings, connections: 1, rates }).rates;
    expect(pacesAt(1 / 2, perSecond)).toEqual([{ ...perSecond, count: 7 }]);
    expect(pacesAt(1 / 64, perSecond, perMinute, perDay)).toEqual([
      { count: 500 / 60 / 64, windowMs: 1_000 },
      { ...perMinute, count: 7 },
      perDay,
    ]);
    expect(pacesAt(1 / 2, { count: 1, windowMs: 60_000 })).toEqual([
      { count: 1 / 120, windowMs: 1_000 },
      { count: 1, windowMs: 60_000 },
    ]);
    expect(pacesAt(1 / 4, perDay)).toEqual([{ count: 1 / 4, windowMs: 1_000 }, perDay]);
    expect(paced(1 / 64, { ...settings, connections: 16, rates: [] })).toEqual({
      connections: 1,
      rates: [{ count: 1 / 4, windowMs: 1_000 }],
    });
  });
});
