/** The timeline: what is a step of it, and what is only counted. */
import { expect, it } from 'vitest';
import type { SettledOutcome } from '../../src/domain/outcome.ts';
import { stepOf } from '../../src/domain/timeline.ts';
import { recipient, start, storedEmail } from '../support/requests.ts';

const { state } = storedEmail([recipient('a'), recipient('b')]);
const noLogin = { code: 535, enhanced: '5.7.8', reply: '535 5.7.8 Authentication failed' };
const later = { code: 451, enhanced: null, reply: '451 Later' };

function answered(...replies: (typeof noLogin | typeof later)[]): SettledOutcome {
  return { kind: 'answered', transport: 't', replies: replies.map((smtp, n) => ({ address: 'ab'[n] ?? 'z', smtp })) };
}

it('leaves out trouble of the transport that led to no event, be it a fault or a reply', () => {
  expect(
    stepOf({ kind: 'transport_fault', transport: 't', cause: 'connect', detail: 'down' }, state, [], start),
  ).toBeNull();
  expect(stepOf(answered(noLogin, noLogin), state, [], start)).toBeNull();
});

it('keeps an answer about the email, with or without an event', () => {
  expect(stepOf(answered(noLogin, later), state, [], start)).toMatchObject({ kind: 'answered' });
  expect(stepOf(answered(), state, [], start)).toMatchObject({ kind: 'answered' });
  const own = { ...answered(noLogin), isOwn: true } as SettledOutcome;
  expect(stepOf(own, state, [], start)).toMatchObject({ kind: 'answered' });
});
