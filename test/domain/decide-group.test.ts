/** The decision about an attempt that was for some of the recipients who are pending: of the others it says nothing. */
import { expect, it } from 'vitest';
import { decide } from '../../src/domain/decide.ts';
import type { SettledOutcome } from '../../src/domain/outcome.ts';
import { nextGroup } from '../../src/domain/sandbox.ts';
import { recipient, start, storedEmail } from '../support/requests.ts';

const policy = { scheduleMs: [10_000, 30_000], maxAgeMs: 3_600_000 };
const greylisted = { code: 450, enhanced: '4.2.0', reply: '450 4.2.0 Later' };

it.each<SettledOutcome>([
  { kind: 'transport_fault', cause: 'connect', transport: 't', detail: 'down' },
  { kind: 'undeliverable', transport: 't', detail: 'too large' },
  { kind: 'unknown', transport: 't', detail: 'lost', refused: [] },
])('says nothing of sandbox recipients by a $kind of another transport, nor the other way round', (outcome) => {
  const [away, near] = [recipient('a'), recipient('slow@sandbox.invalid')];
  const over = (transport: string) =>
    decide(storedEmail([away, near]), { ...outcome, transport } as SettledOutcome, policy, start, 0).state.recipients;
  const [awayMoved, nearLeft] = over('t');
  expect(nearLeft).toBe(near);
  expect(awayMoved).toMatchObject({ transport: 't' });
  const [awayLeft, nearMoved] = over('sandbox');
  expect(awayLeft).toBe(away);
  expect(nearMoved).toMatchObject({ transport: 'sandbox' });
});

it.each<SettledOutcome>([
  { kind: 'transport_fault', cause: 'connect', transport: 't', detail: 'down', to: ['a'] },
  { kind: 'undeliverable', transport: 't', detail: 'too large', to: ['a'] },
  { kind: 'unknown', transport: 't', detail: 'lost', refused: [], to: ['a'] },
])('says nothing by a $kind of whom the attempt was not for', (outcome) => {
  const waits = recipient('b', {
    status: 'deferred',
    attempts: 1,
    smtp: greylisted,
    nextAttemptAt: start + 3_000_000,
  });
  const { state, events } = decide(storedEmail([recipient('a'), waits]), outcome, policy, start, 0);
  expect(state.recipients[0]).toMatchObject({ transport: 't' });
  expect(state.recipients[1]).toBe(waits);
  expect(events.flatMap(({ to }) => to)).not.toContain('b');
});

it('recipients whose server asks for waits a second apart are tried again together, others apart', () => {
  const replies = [300, 299, 301].map((seconds, place) => ({
    address: `${'abc'[place]}`,
    smtp: { code: 450, enhanced: '4.2.0', reply: `450 4.2.0 Greylisted, try again in ${seconds} seconds` },
  }));
  const email = storedEmail([recipient('a'), recipient('b'), recipient('c')]);
  const outcome: SettledOutcome = { kind: 'answered', transport: 't', replies };
  const { state, again } = decide(email, outcome, policy, start, 0.999);
  const { recipients } = nextGroup(state.recipients, again ?? 0);
  expect(recipients.map(({ address }) => address)).toEqual(['a', 'b']);
});
