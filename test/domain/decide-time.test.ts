/** When decide has an email tried again, and when it gives it up: the schedule, what a reply asks for, and the end of its time. */
import { describe, expect, it } from 'vitest';
import { type Decision, decide, type RetryPolicy } from '../../src/domain/decide.ts';
import { decideChange } from '../../src/domain/decide-change.ts';
import type { StoredEmail } from '../../src/domain/email.ts';
import type { SettledOutcome } from '../../src/domain/outcome.ts';
import type { SmtpReply } from '../../src/domain/recipient.ts';
import { recipient, start, storedEmail } from '../support/requests.ts';

const policy: RetryPolicy = { scheduleMs: [10_000, 30_000], maxAgeMs: 3_600_000 };
const greylisted = { code: 450, enhanced: '4.2.0', reply: '450 4.2.0 Later' };

const email = () => storedEmail([recipient('a')]);

function answered(replies: Record<string, SmtpReply>): SettledOutcome {
  const list = Object.entries(replies).map(([address, smtp]) => ({ address, smtp }));
  return { kind: 'answered', transport: 't', replies: list };
}

describe('decide', () => {
  it('ends a fault of the transport at the age limit', () => {
    const outcome: SettledOutcome = { kind: 'transport_fault', cause: 'connect', transport: 't', detail: 'down' };
    const { state, events, again } = decide(email(), outcome, policy, start + policy.maxAgeMs, 0);
    expect(state.recipients[0]).toMatchObject({ status: 'failed', reason: 'not delivered within its age limit: down' });
    expect(events.map(({ type }) => type)).toEqual(['email.failed']);
    expect(again).toBeNull();
  });

  it.each([
    ['its age limit', {}, policy.maxAgeMs, 'failed', 'not delivered within its age limit: lost'],
    ['its ttl', { expiresAt: start + 12_000 }, 5_000, 'expired', 'not delivered before it expired: lost'],
  ] as const)('reports the outcome as unknown, and then the end, when %s leaves no time to try again', (...given) => {
    const [, state, ageMs, status, reason] = given;
    const refused = [
      { address: 'b', smtp: greylisted },
      { address: 'c', smtp: { code: 550, enhanced: null, reply: '550 No' } },
    ];
    const lost: SettledOutcome = { kind: 'unknown', transport: 't', detail: 'lost', refused };
    const before = storedEmail([recipient('a'), recipient('b'), recipient('c')], { state });
    const after = decide(before, lost, policy, start + ageMs, 0);
    expect(after.state.recipients[0]).toMatchObject({ status, reason, attempts: 1, unanswered: 'lost' });
    const told = after.events.filter(({ to }) => to.includes('a'));
    expect(told.map(({ type, reason }) => [type, reason])).toEqual([
      ['email.outcome_unknown', 'lost'],
      [`email.${status}`, reason],
    ]);
    // Who was answered is told of once.
    const others = after.events.filter(({ to }) => !to.includes('a'));
    expect(others.map(({ type, to }) => [type, ...to])).toEqual([
      [`email.${ageMs === 5_000 ? 'delivery_delayed' : status}`, 'b'],
      ['email.bounced', 'c'],
    ]);
    expect(after.events.map(({ sequence }) => sequence)).toEqual([2, 3, 4, 5]);
    expect(after.state).toMatchObject({ sequence: 5, lastEvent: `email.${status}` });
  });

  it('waits as long as a reply asks, spread like any wait, and no shorter than the schedule does', () => {
    const asking = (words: string) => ({ code: 451, enhanced: null, reply: `451 Greylisted, ${words}` });
    const again = (words: string, rand = 0) =>
      decide(email(), answered({ a: asking(words) }), policy, start, rand).again;
    expect(again('try again in 300 seconds')).toBe(start + 300_000);
    expect(again('try again in 300 seconds', 0.5)).toBe(start + 315_000);
    expect(again('try again in 2 seconds')).toBe(start + 10_000);
    expect(again('try again in 40 days')).toBe(start + 10_000);
  });

  it.each([
    ['its age limit', {}, policy.maxAgeMs, 'failed'],
    ['its ttl', { expiresAt: start + 300_000 }, 300_000, 'expired'],
  ])('uses the schedule when a server asks to wait beyond %s, and ends by then', (_, given, endsMs, status) => {
    const patient = { code: 450, enhanced: null, reply: `450 Greylisted, try again in ${endsMs / 1_000 + 60} seconds` };
    const before = storedEmail([recipient('a')], { state: given });
    const after = decide(before, answered({ a: patient }), policy, start, 0);
    expect(after.state.recipients[0]).toMatchObject({ status: 'deferred', nextAttemptAt: start + 10_000 });
    const late = decide(before, answered({ a: patient }), policy, start + endsMs - 5_000, 0);
    expect(late.state.recipients[0]).toMatchObject({ status, smtp: patient, nextAttemptAt: null });
  });

  it('expires an email that is out of time, or has too little left for another try', () => {
    const short = storedEmail([recipient('a')], { state: { expiresAt: start + 5_000 } });
    const late = decide(short, { kind: 'expired' }, policy, start + 9_000, 0);
    const held = decide(short, { kind: 'expired', why: 'transport ses is paused' }, policy, start + 9_000, 0);
    expect(held.state.recipients[0]?.reason).toBe('not delivered before it expired: transport ses is paused');
    const soon = decide(short, answered({ a: greylisted }), policy, start, 0);
    expect([late, soon].map(({ events, again }) => [events.map(({ type }) => type), again])).toEqual([
      [['email.expired'], null],
      [['email.expired'], null],
    ]);
    expect(soon.state.recipients[0]?.smtp).toEqual(greylisted);
  });

  it.each([0, 0.5, 0.999])('tries once before an end that comes before the next try, spread by %d', (rand) => {
    const code = storedEmail([recipient('a')], { state: { expiresAt: start + 300_000 } });
    const { tries, status } = triedToTheEnd(code, () => answered({ a: greylisted }), rand);
    expect(tries).toEqual([0, Math.floor(270_000 * (1 - 0.1 * rand))]);
    expect(status).toBe('expired');
  });

  it('tries no more often than its schedule once it may have been handed over, whatever is answered then', () => {
    const lost: SettledOutcome = { kind: 'unknown', transport: 't', detail: 'lost', refused: [] };
    const code = storedEmail([recipient('a')], { state: { expiresAt: start + 700_000 } });
    expect(triedToTheEnd(code, () => lost).tries).toEqual([0, 600_000]);
    expect(triedToTheEnd(code, (n) => (n === 1 ? lost : answered({ a: greylisted }))).tries).toEqual([0, 600_000]);
    expect(triedToTheEnd(code, () => answered({ a: greylisted })).tries).toEqual([0, 600_000, 690_000]);
  });

  it('has its try before the end again once a caller asks for another round', () => {
    const facts = { ttlMs: 300_000 };
    const code = storedEmail([recipient('a')], { facts, state: { expiresAt: start + 300_000 } });
    const { email } = triedToTheEnd(code, () => answered({ a: greylisted }));
    const retried = decideChange(email, { kind: 'retried' }, start);
    if ('refused' in retried) throw new Error(retried.refused);
    const again = triedToTheEnd({ ...email, state: retried.state }, () => answered({ a: greylisted }));
    expect(again.tries).toEqual([0, 270_000]);
  });

  it('tries before its end, however long a server asks to wait, and leaves that to the age limit where there is none', () => {
    const asking = { code: 451, enhanced: null, reply: '451 Greylisted, try again in 2 hours' };
    const again = (given: object, at: number) =>
      decide(storedEmail([recipient('a')], { state: given }), answered({ a: asking }), policy, at, 0).again;
    expect(again({ expiresAt: start + 20_000 }, start + 10_000)).toBe(start + 17_000);
    expect(again({}, start + policy.maxAgeMs - 9_000)).toBeNull();
  });
});

/** Tries of an email whose schedule has ten minutes between each two, milliseconds from `start`, each when it is due. */
function triedToTheEnd(email: StoredEmail, outcomeOf: (attempt: number) => SettledOutcome, rand = 0) {
  const slow: RetryPolicy = { scheduleMs: [600_000], maxAgeMs: 3_600_000 };
  const tries: number[] = [];
  let code = email;
  for (let at: number | null = start; at !== null; ) {
    tries.push(at - start);
    const { state, again }: Decision = decide(code, outcomeOf(tries.length), slow, at, rand);
    code = { ...code, state };
    at = again;
  }
  return { tries, email: code, status: code.state.recipients[0]?.status };
}
