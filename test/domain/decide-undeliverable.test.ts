/** The decision about a message that cannot be sent: for whom it holds. */
import { expect, it } from 'vitest';
import { decide } from '../../src/domain/decide.ts';
import { stepOf } from '../../src/domain/timeline.ts';
import { recipient, start, storedEmail } from '../support/requests.ts';

const policy = { scheduleMs: [10_000], maxAgeMs: 3_600_000 };

it('fails only the recipients that cannot be sent to, and retries the others at once', () => {
  const outcome = { kind: 'undeliverable', transport: 't', detail: 'beyond ASCII', recipients: ['b'] } as const;
  const { state, events, again } = decide(storedEmail([recipient('a'), recipient('b')]), outcome, policy, start, 0);
  expect(state.recipients).toMatchObject([
    { status: 'queued', transport: null },
    { status: 'failed', reason: 'beyond ASCII' },
  ]);
  expect(events).toMatchObject([{ type: 'email.failed', to: ['b'] }]);
  expect(again).toBe(start);
});

it('names no transport if the message could not be made, as no transport was asked', () => {
  const outcome = { kind: 'undeliverable', transport: 't', detail: 'its content is gone', isUnmade: true } as const;
  const email = storedEmail([recipient('a', { status: 'deferred', attempts: 1, transport: 't' })]);
  const { state, events } = decide(email, outcome, policy, start, 0);
  expect(state.recipients).toMatchObject([{ status: 'failed', transport: null, reason: 'its content is gone' }]);
  expect(events).toMatchObject([{ type: 'email.failed', transport: null }]);
  expect(stepOf(outcome, state, events, start)).not.toHaveProperty('transport');
});
