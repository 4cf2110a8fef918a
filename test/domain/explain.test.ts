/** Why an email that comes again later does so: what its next recipient waits for, as its last attempt left it. */
import { expect, it } from 'vitest';
import { decide } from '../../src/domain/decide.ts';
import { explain } from '../../src/domain/explain.ts';
import type { SettledOutcome } from '../../src/domain/outcome.ts';
import { recipient, start, storedEmail } from '../support/requests.ts';

const policy = { scheduleMs: [10_000], maxAgeMs: 3_600_000 };
const nowhere = { job: 'absent', waiting: 0, parked: null, campaign: null, fileHost: null } as const;
const greylisted = { code: 450, enhanced: '4.2.0', reply: '450 4.2.0 Later' };
const fault = { kind: 'transport_fault', transport: 't', cause: 'connect', detail: 'connection refused' } as const;
const lost = { kind: 'unknown', transport: 't', detail: 'lost', refused: [] } as const;
const deferred = recipient('a', { status: 'deferred', attempts: 1, transport: 't', smtp: greylisted });
const unanswered = recipient('a', {
  status: 'deferred',
  attempts: 1,
  transport: 't',
  reason: 'lost',
  unanswered: 'lost',
});

it.each<[string, typeof deferred, SettledOutcome]>([
  ['transport_trouble', recipient('a'), fault],
  ['transport_trouble', deferred, fault],
  ['transport_trouble', unanswered, fault],
  ['deferred', deferred, { kind: 'answered', transport: 't', replies: [{ address: 'a', smtp: greylisted }] }],
  ['deferred', recipient('a'), lost],
  ['deferred', deferred, lost],
  ['attachment_trouble', deferred, { kind: 'fetch_fault', detail: 'gone', loggable: 'gone', isFinal: false }],
])('names %s after what it met last', (reason, before, outcome) => {
  const { state } = decide(storedEmail([before]), outcome, policy, start, 0);
  const told = explain({ ...storedEmail([]), state }, nowhere, policy, start);
  expect(told.reason).toBe(reason);
  if (reason !== 'transport_trouble') return;
  expect(told.summary).toMatch(/^Transport t is in trouble\./);
  expect(told.recipients[0]?.why).toMatch(/^connection refused; /);
});

it('says why a recipient ended before what the server answered last', () => {
  const ended = { attempts: 1, transport: 't', smtp: greylisted } as const;
  const canceled = recipient('a', { ...ended, status: 'canceled', reason: 'canceled by request', nextAttemptAt: null });
  const [told] = explain(storedEmail([canceled]), nowhere, policy, start).recipients;
  expect(told?.why).toBe('canceled by request; t answered: 450 4.2.0 Later; after 1 attempt');
});

it('distinguishes recipients of the hand-over, recipients that wait until it is over, and recipients that wait for their own time', () => {
  const later = recipient('c@x.co', {
    status: 'deferred',
    attempts: 1,
    smtp: greylisted,
    nextAttemptAt: start + 9_000,
  });
  const email = storedEmail([recipient('slow@sandbox.invalid'), recipient('b@x.co'), later, recipient('d@x.co')]);
  const { state } = decide(
    email,
    { kind: 'suppressed', recipients: [{ address: 'd@x.co', reason: 'asked' }] },
    policy,
    start,
    0,
  );
  const handOver = { at: start, transport: 'sandbox', attemptId: 'a', job: 'j', to: ['slow@sandbox.invalid'] };
  const told = explain({ ...email, state, handOver }, nowhere, policy, start);
  expect(told.recipients.map(({ status, why }) => [status, why])).toEqual([
    ['sending', 'is being handed over'],
    ['queued', 'waits until the others of its email are handed over'],
    ['deferred', expect.stringMatching(/; next attempt at /)],
    ['suppressed', 'asked'],
  ]);
});
