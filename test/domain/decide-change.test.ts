/** What may still be changed about an email: cancel, reschedule, retry, and what an attempt that was under way meanwhile may undo. */
import { describe, expect, it } from 'vitest';
import { parseReply } from '../../src/domain/classify.ts';
import { decide, type RetryPolicy } from '../../src/domain/decide.ts';
import { decideChange } from '../../src/domain/decide-change.ts';
import type { EmailState, StoredEmail } from '../../src/domain/email.ts';
import type { Change, SettledOutcome } from '../../src/domain/outcome.ts';
import { recipient, start, storedEmail } from '../support/requests.ts';

const policy: RetryPolicy = { scheduleMs: [10_000, 30_000], maxAgeMs: 3_600_000 };
const hour = 3_600_000;
const greylisted = { code: 450, enhanced: '4.2.0', reply: '450 4.2.0 Later' };

function changed(email: StoredEmail, change: Change, now = start) {
  const decision = decideChange(email, change, now);
  if ('refused' in decision) throw new Error(decision.refused);
  return { ...email, state: decision.state, events: decision.events.map(({ type, to }) => [type, to]) };
}

const scheduled = storedEmail([recipient('a', { status: 'scheduled', nextAttemptAt: start + hour })], {
  facts: { ttlMs: 600_000 },
  state: { scheduledAt: start + hour, since: start + hour, expiresAt: start + hour + 600_000 },
});
const mixed = storedEmail([
  recipient('sent', { status: 'sent', nextAttemptAt: null }),
  recipient('bounced', { status: 'bounced', nextAttemptAt: null }),
  recipient('failed', { status: 'failed', attempts: 3, smtp: greylisted, reason: 'r', nextAttemptAt: null }),
  recipient('expired', { status: 'expired', attempts: 2, nextAttemptAt: null }),
  recipient('held', { status: 'outcome_unknown', attempts: 1, nextAttemptAt: null }),
  recipient('deferred', { status: 'deferred', attempts: 1, nextAttemptAt: start + hour }),
  recipient('canceled', { status: 'canceled', nextAttemptAt: null }),
]);

describe('a change', () => {
  it('cancels recipients that still wait or are held, and no others', () => {
    const { state, events } = changed(mixed, { kind: 'canceled' });
    expect(state.recipients.map(({ status }) => status).join()).toBe(
      'sent,bounced,failed,expired,canceled,canceled,canceled',
    );
    expect(events).toEqual([['email.canceled', ['held', 'deferred']]]);
  });

  it('cancels with a note about an attempt that got no answer, also when another was put off since', () => {
    const email = storedEmail([recipient('a'), recipient('b')]);
    const transport = 'smtp';
    const refused = [{ address: 'b', smtp: greylisted }];
    const lost = decide(email, { kind: 'unknown', transport, detail: 'it hung up', refused }, policy, start, 0.5);
    const replies = ['a', 'b'].map((address) => ({ address, smtp: greylisted }));
    const later = decide({ ...email, state: lost.state }, { kind: 'answered', transport, replies }, policy, start, 0.5);
    for (const { state } of [lost, later])
      expect(changed({ ...email, state }, { kind: 'canceled' }).state.recipients.map(({ reason }) => reason)).toEqual([
        'canceled by request; an attempt before it may have been handed over: it hung up',
        'canceled by request',
      ]);
  });

  it('cancels a held recipient with a note about the attempt that got no answer', () => {
    const email = storedEmail([recipient('a')], { facts: { onUnknown: 'hold' } });
    const lost: SettledOutcome = { kind: 'unknown', transport: 'smtp', detail: 'it hung up', refused: [] };
    const { state } = decide(email, lost, policy, start, 0.5);
    expect(changed({ ...email, state }, { kind: 'canceled' }).state.recipients).toMatchObject([
      { status: 'canceled', reason: 'canceled by request; an attempt before it may have been handed over: it hung up' },
    ]);
  });

  it('retries what failed, expired or is held, with all its tries before it', () => {
    const { state, events } = changed(mixed, { kind: 'retried' }, start + 5);
    expect(state.recipients.map(({ status }) => status).join()).toBe(
      'sent,bounced,queued,queued,queued,deferred,canceled',
    );
    expect(state.recipients[2]).toMatchObject({ attempts: 0, smtp: null, reason: null, nextAttemptAt: start + 5 });
    expect(events).toEqual([['email.queued', ['failed', 'expired', 'held']]]);
  });

  it.each<[string, { ttlMs: number | null; expiresAt: number | null; waits?: boolean }, Partial<EmailState>]>([
    ['its whole age', { ttlMs: null, expiresAt: null }, { since: start + 5, expiresAt: null }],
    ['its whole ttl', { ttlMs: hour, expiresAt: start + hour }, { since: start + 5, expiresAt: start + 5 + hour }],
    ['no end that has passed', { ttlMs: null, expiresAt: start + 5 }, { since: start + 5, expiresAt: null }],
    ['an end that lies ahead', { ttlMs: null, expiresAt: start + 6 }, { since: start + 5, expiresAt: start + 6 }],
    ['the age of who waits', { ttlMs: null, expiresAt: null, waits: true }, { since: start, expiresAt: null }],
    [
      'the end of who waits',
      { ttlMs: null, expiresAt: start + 6, waits: true },
      { since: start, expiresAt: start + 6 },
    ],
    [
      'the ttl of who waits',
      { ttlMs: hour, expiresAt: start + 6, waits: true },
      { since: start, expiresAt: start + 6 },
    ],
  ])('retries with %s before it', (_, { ttlMs, expiresAt, waits = false }, time) => {
    const failed = recipient('a', { status: 'failed', nextAttemptAt: null });
    const deferred = recipient('b', { status: 'deferred', attempts: 1, nextAttemptAt: start + hour });
    const email = storedEmail(waits ? [failed, deferred] : [failed], { facts: { ttlMs }, state: { expiresAt } });
    expect(changed(email, { kind: 'retried' }, start + 5).state).toMatchObject(time);
  });

  it.each([
    ['554 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org', 'queued'],
    ['550 5.7.1 Message rejected by policy', 'queued'],
    ['550 5.1.1 No such user', 'bounced'],
    ['552 5.2.2 Mailbox full', 'bounced'],
    ['550 5.2.1 Mailbox disabled', 'bounced'],
  ])('retries a refused recipient if the refusal was not about it: %s', (reply, status) => {
    const bounced = recipient('a', { status: 'bounced', attempts: 1, smtp: parseReply(reply), nextAttemptAt: null });
    const failed = recipient('b', { status: 'failed', nextAttemptAt: null });
    const { state } = changed(storedEmail([bounced, failed]), { kind: 'retried' });
    expect(state.recipients.map((one) => one.status)).toEqual([status, 'queued']);
  });

  it.each([
    { to: start + 2 * hour, status: 'scheduled', due: start + 2 * hour },
    { to: start + 60_000, status: 'scheduled', due: start + 60_000 },
    { to: start - 60_000, status: 'queued', due: start },
    { to: start, status: 'queued', due: start },
  ])('reschedules to $to, and its ttl and its age count from there', ({ to, status, due }) => {
    const { state, events } = changed(scheduled, { kind: 'rescheduled', at: to });
    expect(state.recipients[0]).toMatchObject({ status, nextAttemptAt: due });
    expect(state).toMatchObject({ scheduledAt: to, since: due, expiresAt: due + 600_000 });
    expect(events).toEqual([[`email.${status}`, ['a']]]);
  });

  it.each<[string, StoredEmail, Change, RegExp]>([
    [
      'a cancel of what is final',
      storedEmail([recipient('a', { status: 'sent', nextAttemptAt: null })]),
      { kind: 'canceled' },
      /no recipient is waiting or held/,
    ],
    ['a reschedule of what has been tried', mixed, { kind: 'rescheduled', at: start + hour }, /no longer scheduled/],
    ['a retry of what is waiting', scheduled, { kind: 'retried' }, /no recipient failed, expired, is held, or/],
    [
      'a reschedule beyond its end',
      { ...scheduled, facts: { ...scheduled.facts, ttlMs: null } },
      { kind: 'rescheduled', at: start + 2 * hour },
      /would have expired by then/,
    ],
    ...(['canceled', 'rescheduled', 'retried'] as const).map((kind): [string, StoredEmail, Change, RegExp] => [
      `anything (${kind}) while it is handed over`,
      { ...scheduled, handOver: { at: start, transport: 't', attemptId: 'at_1', job: 'jb_1' } },
      { kind, at: start + hour },
      /being handed over/,
    ]),
  ])('refuses %s', (_, email, change, why) => {
    expect(decideChange(email, change, start)).toEqual({ refused: expect.stringMatching(why) });
  });
});

describe('an attempt that was under way when its email was changed', () => {
  const now = start + hour + 2_000;
  const later = changed({ ...scheduled }, { kind: 'rescheduled', at: start + 24 * hour }, now - 1_000);
  const stale: SettledOutcome[] = [
    { kind: 'transport_fault', transport: 't', cause: 'connect', detail: 'no connection' },
    { kind: 'answered', transport: 't', replies: [{ address: 'a', smtp: greylisted }] },
    { kind: 'fetch_fault', detail: 'no file', loggable: '', isFinal: false },
    { kind: 'fetch_fault', detail: 'no file', loggable: '', isFinal: true },
    { kind: 'undeliverable', transport: 't', detail: 'too large' },
    { kind: 'expired' },
  ];
  it.each(stale)('leaves its new schedule alone: $kind', (outcome) => {
    const { state, events, again } = decide(later, outcome, policy, now, 0.5);
    expect(state).toEqual(later.state);
    expect([events, again]).toEqual([[], start + 24 * hour]);
  });

  it('still counts where the next hop gave its last word', () => {
    const smtp = { code: 550, enhanced: '5.1.1', reply: '550 5.1.1 Unknown' };
    const outcome: SettledOutcome = { kind: 'answered', transport: 't', replies: [{ address: 'a', smtp }] };
    expect(decide(later, outcome, policy, now, 0.5).state.recipients[0]?.status).toBe('bounced');
  });

  it.each([
    { onUnknown: 'retry', status: 'deferred' },
    { onUnknown: 'hold', status: 'outcome_unknown' },
  ] as const)('also reports that the next hop may have the message: on_unknown $onUnknown', ({ onUnknown, status }) => {
    const outcome: SettledOutcome = { kind: 'unknown', transport: 't', detail: 'lost', refused: [] };
    const { state, events } = decide({ ...later, facts: { ...later.facts, onUnknown } }, outcome, policy, now, 0.5);
    expect(state.recipients[0]).toMatchObject({ status, attempts: 1 });
    expect(events.map(({ type }) => type)).toEqual(['email.outcome_unknown']);
  });

  it.each([null, 2 * hour])('does not expire an email that got new time by a retry: ttl %s', (ttlMs) => {
    const over = { ...mixed, facts: { ...mixed.facts, ttlMs }, state: { ...mixed.state, expiresAt: start } };
    const retried = changed(over, { kind: 'retried' }, start + 10);
    expect(retried.state.expiresAt).toBe(ttlMs && start + 10 + ttlMs);
    expect(decide(retried, { kind: 'expired' }, policy, start + 20, 0.5).state).toEqual(retried.state);
  });
});
