/** How a transport stands, what an attempt says of it, and which other may stand in. */
import { describe, expect, it } from 'vitest';
import { parseReply } from '../../src/domain/classify.ts';
import type { Outcome } from '../../src/domain/outcome.ts';
import type { Recipient } from '../../src/domain/recipient.ts';
import {
  freshState,
  hasStandIn,
  isInService,
  isOfTransport,
  standingOf,
  verdictOf,
  withOwnRefusal,
} from '../../src/domain/standing.ts';
import { recordOf, type TransportPlan } from '../../src/domain/transport-plan.ts';
import { afterFault, type TransportState } from '../../src/domain/transport-state.ts';
import { recipient } from '../support/requests.ts';

const open = afterFault(freshState.breaker, { cause: 'login', reason: '535 no' }, 1_000);
const paused: TransportState = { ...freshState, paused: { at: 1_000, by: 'k' } };
const degraded: TransportState = { ...freshState, breaker: open };
const free = { isStuck: false, isHanging: false };

const answered = (...replies: string[]): Outcome => ({
  kind: 'answered',
  transport: 'ses',
  replies: replies.map((reply, n) => ({ address: `${n}@x.co`, smtp: parseReply(reply) })),
});
const fault: Outcome = { kind: 'transport_fault', transport: 'ses', cause: 'connect', detail: 'ECONNREFUSED' };
const unknown: Outcome = { kind: 'unknown', transport: 'ses', detail: 'dropped', refused: [] };

describe('standing', () => {
  it.each([
    ['open', freshState, free, undefined],
    ['paused', paused, free, 'transport ses is paused'],
    ['paused', { ...paused, breaker: open }, { isStuck: true, isHanging: false }, 'transport ses is paused'],
    ['degraded', degraded, { isStuck: true, isHanging: false }, 'transport ses is in trouble: 535 no'],
    ['stuck', freshState, { isStuck: true, isHanging: false }, 'transport ses has no free connection'],
    ['stuck', freshState, { isStuck: true, isHanging: true }, 'transport ses accepts messages but does not answer'],
    ['open', freshState, { isStuck: false, isHanging: true }, undefined],
  ])('is %s', (kind, state, pool, why) => {
    expect(standingOf('ses', state, pool)).toEqual(why === undefined ? { kind } : { kind, why });
  });

  it('a transport is in service unless it is paused or in trouble', () => {
    expect([freshState, paused, degraded].map(isInService)).toEqual([true, false, false]);
  });
});

describe('what an attempt says', () => {
  it.each<[string, Outcome]>([
    ['fault', fault],
    ['fault', answered('530 5.7.0 Authentication required', '530 5.7.0 Authentication required')],
    ['nothing', answered('530 5.7.0 Authentication required', '550 5.1.1 No such user')],
    ['slow_down', answered('250 2.0.0 Ok', '421 4.7.0 Too many messages')],
    ['success', answered('550 5.1.1 No such user', '250 2.0.0 Ok')],
    ['nothing', answered('550 5.1.1 No such user')],
    ['nothing', answered()],
    ['nothing', unknown],
    ['nothing', { kind: 'withheld' }],
  ])('%s', (kind, outcome) => {
    expect(verdictOf(outcome).kind).toBe(kind);
  });

  it('a fault has its cause and reason; a refusal of all recipients counts as one of the login', () => {
    const met = { kind: 'fault', cause: 'connect', reason: 'ECONNREFUSED', byMessage: false };
    expect(verdictOf(fault)).toEqual(met);
    expect(verdictOf({ ...fault, byMessage: true } as Outcome)).toEqual({ ...met, byMessage: true });
    expect(verdictOf(answered('530 5.7.0 Login'))).toEqual({
      kind: 'fault',
      cause: 'login',
      reason: '530 5.7.0 Login',
      byMessage: true,
    });
    const usedUp = '550 5.4.5 Daily user sending limit exceeded.';
    expect(verdictOf(answered(usedUp))).toEqual({ kind: 'fault', cause: 'limit', reason: usedUp, byMessage: true });
    const stopped = '554 Your account has been suspended';
    expect(verdictOf(answered(stopped))).toEqual({ kind: 'fault', cause: 'limit', reason: stopped, byMessage: true });
  });
});

describe('a refused login', () => {
  const refused = answered('530 5.7.0 Login');
  const met = (more: Partial<Recipient>) => [recipient('0@x.co', { transport: 'ses', ...more })];
  const reason = '530 5.7.1 Client was not authenticated';

  it.each<[string, Partial<Recipient>]>([
    ['took the transport out of service', { reason }],
    ['was its own already', { attempts: 1, status: 'deferred', smtp: parseReply(reason) }],
  ])('is the own of a message that it met before, when that %s, and says nothing of the transport', (_, more) => {
    const own = withOwnRefusal(refused, met(more), 'message');
    expect([verdictOf(own).kind, isOfTransport(own)]).toEqual(['nothing', true]);
  });

  it.each<[string, Outcome, Partial<Recipient>, 'message' | 'trial']>([
    ['the first', refused, {}, 'message'],
    ['after trouble of another kind', refused, { reason: 'EAUTH: Invalid login: 535 5.7.8 no' }, 'message'],
    ['after one by another transport', refused, { transport: 'other', reason }, 'message'],
    ['met by the trial', refused, { reason }, 'trial'],
    ['of what the account may send', answered('550 5.4.5 Daily user sending limit exceeded.'), { reason }, 'message'],
    ['beside a recipient that met none before', answered('530 Login', '530 Login'), { reason }, 'message'],
  ])('is the fault of the transport when it is %s', (_, outcome, more, as) => {
    expect(verdictOf(withOwnRefusal(outcome, met(more), as)).kind).toBe('fault');
  });
});

describe('another transport may do better', () => {
  it.each([
    fault,
    answered('530 5.7.0 Authentication required'),
    answered('421 4.3.2 Closing', '421 4.3.2 Closing'),
    answered('421 4.2.1 Closing'),
    answered('450 4.7.1 Error: too much mail from 192.0.2.1'),
    answered('454 4.7.0 TLS not available'),
  ])('after %j', (outcome) => expect(isOfTransport(outcome)).toBe(true));

  it.each<Outcome>([
    answered(),
    answered('421 4.3.2 Closing', '550 5.1.1 No such user'),
    answered('450 4.2.1 The user receives mail at a rate that is too high'),
    answered('451 4.3.0 Later'),
    answered('250 2.0.0 Ok'),
    unknown,
    { kind: 'withheld' },
    { kind: 'undeliverable', transport: 'ses', detail: 'its content is gone' },
    { kind: 'obstacle', transport: 'ses', detail: 'too large', recipients: ['b@x.co'] },
  ])('not after %j', (outcome) => expect(isOfTransport(outcome)).toBe(false));
});

it('a stand-in shares a route and is in service', () => {
  const plan: TransportPlan = {
    transports: recordOf([]),
    routes: recordOf([
      ['default', { kind: 'failover', transports: ['a', 'b'], reserve: 0 }],
      ['spread', { kind: 'weighted', weights: { b: 1, c: 2 }, reserve: 0 }],
      ['alone', { kind: 'failover', transports: ['d'], reserve: 0 }],
    ]),
    rules: [],
  };
  const has = (name: string, ...inService: string[]) => hasStandIn(plan, name, new Set(inService));
  expect([has('a', 'b'), has('b', 'a'), has('b', 'c'), has('c', 'b')]).toEqual([true, true, true, true]);
  expect([has('a', 'a', 'c', 'd'), has('d', 'a', 'b', 'c', 'd'), has('a')]).toEqual([false, false, false]);
});
