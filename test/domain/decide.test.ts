/** The decision behind settle: every outcome, what it does to each recipient, and the invariants that hold for all of them. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decide, type RetryPolicy } from '../../src/domain/decide.ts';
import type { StoredEmail } from '../../src/domain/email.ts';
import type { SettledOutcome } from '../../src/domain/outcome.ts';
import {
  isFinal,
  isPending,
  type Recipient,
  rankOf,
  recipientStatuses,
  type SmtpReply,
} from '../../src/domain/recipient.ts';
import { recipient, start, storedEmail } from '../support/requests.ts';

const policy: RetryPolicy = { scheduleMs: [10_000, 30_000], maxAgeMs: 3_600_000 };
const ok = { code: 250, enhanced: '2.0.0', reply: '250 2.0.0 Ok' };
const unknownUser = { code: 550, enhanced: '5.1.1', reply: '550 5.1.1 Unknown' };
const tooFast = { code: 421, enhanced: '4.7.28', reply: '421 4.7.28 Your mail comes in bursts' };
const noLogin = { code: 530, enhanced: '5.7.57', reply: '530 5.7.57 Client not authenticated' };
const usedUp = { code: 550, enhanced: '5.4.5', reply: '550 5.4.5 Daily user sending limit exceeded.' };
const greylisted = { code: 450, enhanced: '4.2.0', reply: '450 4.2.0 Later' };

const sentBefore = { status: 'sent', attempts: 1, smtp: ok, transport: 't', nextAttemptAt: null } as const;

function email(...recipients: Recipient[]): StoredEmail {
  return storedEmail(recipients);
}

function answered(replies: Record<string, SmtpReply>): SettledOutcome {
  return {
    kind: 'answered',
    transport: 't',
    replies: Object.entries(replies).map(([address, smtp]) => ({ address, smtp })),
  };
}

describe('decide', () => {
  it('settles each recipient by its own reply, with one event for each change and its reply', () => {
    const moved = { code: 551, enhanced: '5.1.6', reply: '551 5.1.6 Moved' };
    const replies = { a: ok, b: unknownUser, c: greylisted, d: ok, e: moved };
    const before = email(...Object.keys(replies).map((address) => recipient(address)));
    const { state, events, again } = decide(before, answered(replies), policy, start + 50, 0);
    expect(state.recipients.map(({ status }) => status)).toEqual(['sent', 'bounced', 'deferred', 'sent', 'bounced']);
    expect(events.map(({ id, type, sequence, to, smtp }) => ({ id, type, sequence, to, smtp }))).toEqual([
      { id: 'ev_1_2', type: 'email.sent', sequence: 2, to: ['a', 'd'], smtp: ok },
      { id: 'ev_1_3', type: 'email.bounced', sequence: 3, to: ['b'], smtp: unknownUser },
      { id: 'ev_1_4', type: 'email.delivery_delayed', sequence: 4, to: ['c'], smtp: greylisted },
      { id: 'ev_1_5', type: 'email.bounced', sequence: 5, to: ['e'], smtp: moved },
    ]);
    expect(again).toBe(start + 50 + 10_000);
  });

  it('reports a deferral once, and again only when its cause changes', () => {
    const first = decide(email(recipient('a')), answered({ a: greylisted }), policy, start, 0);
    const second = decide({ ...email(), state: first.state }, answered({ a: greylisted }), policy, start, 0);
    const third = decide(
      { ...email(), state: second.state },
      answered({ a: { ...greylisted, enhanced: '4.7.1' } }),
      policy,
      start,
      0,
    );
    expect([first, second, third].map(({ events }) => events.length)).toEqual([1, 0, 1]);
    expect(third.state.recipients[0]?.attempts).toBe(3);
    expect(second.again).toBe(start + 30_000);
  });

  it('spreads retries by at most a tenth of the wait', () => {
    expect(decide(email(recipient('a')), answered({ a: greylisted }), policy, start, 0.999).again).toBe(start + 10_999);
  });

  it('counts an unknown outcome as an attempt, reports it and tries again; a recipient refused before keeps that answer', () => {
    const outcome: SettledOutcome = {
      kind: 'unknown',
      transport: 't',
      detail: 'lost',
      refused: [{ address: 'b', smtp: unknownUser }],
    };
    const { state, events } = decide(email(recipient('a'), recipient('b')), outcome, policy, start, 0);
    expect(state.recipients).toMatchObject([
      { status: 'deferred', attempts: 1, reason: 'lost', nextAttemptAt: start + 10_000 },
      { status: 'bounced', attempts: 1, nextAttemptAt: null },
    ]);
    expect(events.map(({ type }) => type)).toEqual(['email.outcome_unknown', 'email.bounced']);
  });

  it('uses no attempt and reports no event when the transport is at fault', () => {
    const { state, events, again } = decide(
      email(recipient('a')),
      { kind: 'transport_fault', transport: 't', cause: 'connect', detail: 'refused' },
      policy,
      start,
      0,
    );
    expect(state.recipients[0]).toMatchObject({ status: 'queued', attempts: 0, reason: 'refused' });
    expect(events).toEqual([]);
    expect(again).toBe(start + 5_000);
  });

  it.each<[SettledOutcome, string]>([
    [{ kind: 'transport_fault', transport: 'other', cause: 'connect', detail: 'refused' }, 'refused'],
    [{ kind: 'undeliverable', transport: 'other', detail: 'too large' }, 'too large'],
    [{ kind: 'answered', transport: 'other', replies: [{ address: 'a', smtp: noLogin }] }, noLogin.reply],
  ])('says nothing that an earlier transport answered where another has trouble: %o', (outcome, reason) => {
    const before = recipient('a', { status: 'deferred', attempts: 1, transport: 't', smtp: greylisted });
    const { recipients } = decide(email(before), outcome, policy, start, 0).state;
    expect(recipients).toMatchObject([{ attempts: 1, transport: 'other', smtp: null, reason }]);
  });

  it('reports no event either when it was deferred before, but reports its end as usual', () => {
    const before = email(recipient('a', { status: 'deferred', attempts: 1, transport: 't', smtp: greylisted }));
    const fault = { kind: 'transport_fault', transport: 't', cause: 'connect', detail: 'refused' } as const;
    for (const outcome of [fault, answered({ a: noLogin })]) {
      expect(decide(before, outcome, policy, start, 0).events).toEqual([]);
      const atTheEnd = decide(before, outcome, policy, start + policy.maxAgeMs, 0);
      expect(atTheEnd.events.map(({ type }) => type)).toEqual(['email.failed']);
    }
  });

  it('defers when it is asked to slow down', () => {
    const { state, events, again } = decide(email(recipient('a')), answered({ a: tooFast }), policy, start, 0);
    expect(state.recipients[0]).toMatchObject({ status: 'deferred', attempts: 1, smtp: tooFast });
    expect([events.map(({ type }) => type), again]).toEqual([['email.delivery_delayed'], start + 10_000]);
  });

  it('uses no attempt and reports no event when a reply is about the transport, and settles the others', () => {
    const before = email(recipient('a'), recipient('b'));
    const { state, events, again } = decide(before, answered({ a: usedUp, b: ok }), policy, start, 0);
    expect(state.recipients).toMatchObject([
      { status: 'queued', attempts: 0, transport: 't', smtp: null, reason: usedUp.reply },
      { status: 'sent', attempts: 1 },
    ]);
    expect([events.map(({ type }) => type), again]).toEqual([['email.sent'], start + 5_000]);
    const alone = decide(email(recipient('a')), answered({ a: noLogin }), policy, start, 0);
    expect(alone.state.recipients[0]).toMatchObject({ status: 'queued', attempts: 0, smtp: null });
    const late = decide(email(recipient('a')), answered({ a: noLogin }), policy, start + policy.maxAgeMs, 0);
    expect(late.state.recipients[0]).toMatchObject({
      status: 'failed',
      reason: `not delivered within its age limit: ${noLogin.reply}`,
    });
  });

  it('defers a recipient whose reply asks for a login while another was accepted, or that was refused so before', () => {
    const mixed = decide(email(recipient('a'), recipient('b')), answered({ a: noLogin, b: ok }), policy, start, 0);
    const own = { ...answered({ a: noLogin }), isOwn: true } as SettledOutcome;
    const again = decide(email(recipient('a')), own, policy, start, 0);
    for (const { state, events } of [mixed, again]) {
      expect(state.recipients[0]).toMatchObject({ status: 'deferred', attempts: 1, smtp: noLogin, reason: null });
      expect(events.map(({ type }) => type)).toContain('email.delivery_delayed');
      expect(state.recipients[0]?.nextAttemptAt).toBe(start + 10_000);
    }
  });

  it('does not call it unknown when a login was refused before others were lost', () => {
    const lost: SettledOutcome = { kind: 'unknown', transport: 't', detail: 'lost', refused: [] };
    const first = decide(email(recipient('a')), lost, policy, start, 0);
    const refused = { ...lost, refused: [{ address: 'a', smtp: noLogin }] };
    const second = decide({ ...email(), state: first.state }, refused, policy, start + 10_000, 0);
    expect(second.state.recipients[0]).toMatchObject({ status: 'deferred', attempts: 1, reason: noLogin.reply });
    expect(second.events).toEqual([]);
  });

  it('holds what may have been handed over when it was asked to', () => {
    const held = storedEmail([recipient('a')], { facts: { onUnknown: 'hold' } });
    const outcome: SettledOutcome = { kind: 'unknown', transport: 't', detail: 'lost', refused: [] };
    const { state, events, again } = decide(held, outcome, policy, start, 0);
    expect(state.recipients[0]).toMatchObject({ status: 'outcome_unknown', attempts: 1, nextAttemptAt: null });
    expect([events.map(({ type }) => type), again]).toEqual([['email.outcome_unknown'], null]);
  });

  it('tries five times to fetch a file, unless trying again cannot help', () => {
    const said = { detail: 'attachment a: 503', loggable: '503' };
    const tryAgain: SettledOutcome = { kind: 'fetch_fault', ...said, isFinal: false };
    const statuses: string[] = [];
    let state = email(recipient('a')).state;
    for (let n = 0; n < 5; n++) {
      state = decide({ ...email(), state }, tryAgain, policy, start + n * 30_000, 0).state;
      statuses.push(state.recipients[0]?.status ?? '');
    }
    expect(statuses).toEqual(['deferred', 'deferred', 'deferred', 'deferred', 'failed']);
    expect(state.recipients[0]).toMatchObject({ attempts: 5, transport: null, reason: 'attachment a: 503' });
    const atOnce = decide(email(recipient('a')), { ...tryAgain, isFinal: true }, policy, start, 0);
    expect(atOnce.events.map(({ type }) => type)).toEqual(['email.failed']);
  });

  it('applies feedback to recipients it sent to, in the same commit and with both events in order', () => {
    const before = email(recipient('a'), recipient('b'), recipient('c'), recipient('d'), recipient('e', sentBefore));
    const heard = ['a', 'b', 'c', 'e', 'z'].map((address) => ({
      address,
      kind: address === 'b' ? ('complained' as const) : ('delivered' as const),
    }));
    const outcome = { ...answered({ a: ok, b: ok, c: unknownUser, d: ok }), feedback: heard } as SettledOutcome;
    const { state, events, again } = decide(before, outcome, policy, start + 50, 0);
    // Who was refused, not heard of, or sent to before stays as it is.
    expect(state.recipients.map(({ status }) => status)).toEqual([
      'delivered',
      'complained',
      'bounced',
      'sent',
      'sent',
    ]);
    expect(state.recipients[0]).toMatchObject({ attempts: 1, smtp: ok, transport: 't', nextAttemptAt: null });
    expect(events.map(({ sequence, type, to, smtp, at }) => ({ sequence, type, to, code: smtp?.code, at }))).toEqual([
      { sequence: 2, type: 'email.sent', to: ['a', 'b', 'd'], code: 250, at: start + 50 },
      { sequence: 3, type: 'email.bounced', to: ['c'], code: 550, at: start + 50 },
      { sequence: 4, type: 'email.delivered', to: ['a'], code: 250, at: start + 50 },
      { sequence: 5, type: 'email.complained', to: ['b'], code: 250, at: start + 50 },
    ]);
    expect([state.sequence, state.lastEvent, again]).toEqual([5, 'email.complained', null]);
  });

  it('leaves recipients that an answer does not name pending as they were, and due at once', () => {
    const waiting = [recipient('a'), recipient('b', { status: 'deferred', attempts: 1, smtp: greylisted })];
    const before = email(...waiting, recipient('delivered@sandbox.invalid'), recipient('deferred@sandbox.invalid'));
    const outcome = answered({ 'delivered@sandbox.invalid': ok, 'deferred@sandbox.invalid': greylisted });
    const { state, events, again } = decide(before, outcome, policy, start + 50, 0);
    expect(state.recipients.slice(0, 2)).toEqual(waiting);
    expect(state.recipients.slice(2).map(({ status }) => status)).toEqual(['sent', 'deferred']);
    expect(events.flatMap(({ to }) => to)).toEqual(['delivered@sandbox.invalid', 'deferred@sandbox.invalid']);
    expect(again).toBe(start);
  });

  it('keeps every promise about states for any email and outcome', () => {
    const reply = fc.constantFrom(
      ok,
      unknownUser,
      greylisted,
      tooFast,
      noLogin,
      { code: 451, enhanced: null, reply: '451 Greylisted, try again in 50 minutes' },
      { code: 503, enhanced: null, reply: '503 Bad sequence' },
      { code: 0, enhanced: null, reply: '' },
    );
    const status = fc.constantFrom(...recipientStatuses);
    const anyRecipient = fc.record({ address: fc.constantFrom('a', 'b', 'c'), status, attempts: fc.nat(9) });
    const replies = fc.array(fc.record({ address: fc.constantFrom('a', 'b', 'c', 'z'), smtp: reply }), {
      maxLength: 4,
    });
    const outcome: fc.Arbitrary<SettledOutcome> = fc.oneof(
      replies.map((list): SettledOutcome => ({ kind: 'answered', transport: 't', replies: list })),
      replies.map((list): SettledOutcome => ({ kind: 'unknown', transport: 't', detail: 'd', refused: list })),
      fc.constantFrom<SettledOutcome>(
        { kind: 'transport_fault', transport: 't', cause: 'connect', detail: 'd' },
        { kind: 'undeliverable', transport: 't', detail: 'd' },
        { kind: 'undeliverable', transport: 't', detail: 'd', recipients: ['a', 'z'] },
      ),
    );
    fc.assert(
      fc.property(
        fc.array(anyRecipient, { minLength: 1, maxLength: 5 }),
        outcome,
        fc.nat(2 * policy.maxAgeMs),
        (given, result, age) => {
          const before = email(
            ...given.map(({ address, status: at, attempts }) =>
              recipient(address, { status: at, attempts, nextAttemptAt: isPending(at) ? start : null }),
            ),
          );
          const { state, events, again } = decide(before, result, policy, start + age, 0.5);
          for (const [index, after] of state.recipients.entries()) {
            const was = before.state.recipients[index] as Recipient;
            // Ranked states never move backwards, and a final state is final to an outcome; who is held may be answered late.
            expect(rankOf[after.status]).toBeGreaterThanOrEqual(rankOf[was.status]);
            const isLate = was.status === 'outcome_unknown' && result.kind === 'answered';
            if (!isPending(was.status) && !(isLate && isFinal(after.status))) expect(after).toEqual(was);
            // Nothing is pending without a time at which it moves, and nothing final has one.
            expect(after.nextAttemptAt !== null).toBe(isPending(after.status));
            if (result.kind === 'transport_fault') expect(after.attempts).toBe(was.attempts);
          }
          expect(again === null).toBe(state.recipients.every(({ status: at }) => !isPending(at)));
          expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, n) => n + 2));
          expect(state.sequence).toBe(1 + events.length);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
