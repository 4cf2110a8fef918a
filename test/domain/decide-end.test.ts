/** The decision about a next try at the very end of an email's time. */
import { expect, it } from 'vitest';
import { decide } from '../../src/domain/decide.ts';
import { recipient, start, storedEmail } from '../support/requests.ts';

/** Too short for another try before the end. */
const waitMs = 5_000;
const policy = { scheduleMs: [waitMs], maxAgeMs: 3_600_000 };
const later = { code: 450, enhanced: '4.2.0', reply: '450 4.2.0 Later' };
const deferred = { kind: 'answered', transport: 't', replies: [{ address: 'a', smtp: later }] } as const;

it.each([
  ['an end that a caller set', { expiresAt: start + waitMs }, 'expired'],
  ['an end that a caller set, a moment later', { expiresAt: start + waitMs + 1 }, 'deferred'],
  ['the age limit, which has a last try', { since: start + waitMs - policy.maxAgeMs }, 'deferred'],
  ['the age limit, a moment before', { since: start + waitMs - policy.maxAgeMs - 1 }, 'failed'],
] as const)('that would come at %s', (_, state, status) => {
  const decision = decide(storedEmail([recipient('a')], { state }), deferred, policy, start, 0);
  expect(decision.state.recipients[0]?.status).toBe(status);
  expect(decision.again).toBe(status === 'deferred' ? start + waitMs : null);
});
