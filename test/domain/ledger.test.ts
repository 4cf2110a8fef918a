/** What a commit comes to in numbers. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { attemptOutcomeOf, statesEntered, waitBefore } from '../../src/domain/ledger.ts';
import type { SettledOutcome } from '../../src/domain/outcome.ts';
import { isPending, type RecipientStatus, recipientStatuses } from '../../src/domain/recipient.ts';
import { recipient, start, storedEmail } from '../support/requests.ts';

const stateWith = (...statuses: readonly RecipientStatus[]) =>
  storedEmail(statuses.map((status) => recipient('a@x.co', { status }))).state;

it('a recipient counts only if it entered another state', () => {
  expect(statesEntered(stateWith('queued', 'deferred', 'queued'), stateWith('sent', 'deferred', 'bounced'))).toEqual([
    'sent',
    'bounced',
  ]);
});

it('a recipient with immediate feedback went through sent', () => {
  expect(statesEntered(stateWith('queued'), stateWith('delivered'))).toEqual(['sent', 'delivered']);
  expect(statesEntered(stateWith('sent'), stateWith('complained'))).toEqual(['complained']);
});

it('whatever becomes of a recipient, each pending state counts as often as it was entered, and the last state counted is the current one', () => {
  const statuses = fc.array(fc.constantFrom(...recipientStatuses), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(statuses, (path) => {
      const entered = path
        .slice(1)
        .flatMap((status, n) => statesEntered(stateWith(path[n] ?? status), stateWith(status)));
      const moves = path.filter((status, n) => n > 0 && status !== path[n - 1]);
      expect(entered.at(-1)).toBe(moves.at(-1));
      expect(entered.filter(isPending)).toEqual(moves.filter(isPending));
    }),
  );
});

const answered = (...replies: readonly string[]): SettledOutcome => ({
  kind: 'answered',
  transport: 't',
  replies: replies.map((reply, n) => ({
    address: `${n}@x.co`,
    smtp: { code: Number(reply.slice(0, 3)), enhanced: null, reply },
  })),
});

it.each<[SettledOutcome, string | null]>([
  [answered('250 Ok'), 'sent'],
  [answered('550 no such user', '250 Ok'), 'sent'],
  [answered('550 no such user', '450 later'), 'deferred'],
  [answered('550 no such user'), 'bounced'],
  [answered('535 5.7.8 authentication failed'), 'transport_fault'],
  [{ kind: 'unknown', transport: 't', detail: 'x', refused: [] }, 'unknown'],
  [{ kind: 'transport_fault', cause: 'connect', transport: 't', detail: 'x' }, 'transport_fault'],
  [{ kind: 'undeliverable', transport: 't', detail: 'x' }, 'undeliverable'],
  [{ kind: 'expired' }, null],
  [{ kind: 'suppressed', recipients: [] }, null],
  [{ kind: 'fetch_fault', detail: 'x', loggable: 'x', isFinal: true }, null],
])('%j counts as %s', (outcome, counted) => {
  expect(attemptOutcomeOf(outcome)).toBe(counted);
});

it('an email has waited from when it was due until a server was spoken to', () => {
  const email = storedEmail([recipient('a@x.co', { nextAttemptAt: start })]);
  const trace = { host: null, tls: null, ms: { connect: 5, envelope: 10, body: 20 } };
  const outcome = { ...answered('250 Ok'), trace } as SettledOutcome;
  expect(waitBefore(email, outcome, start + 1_000)).toBe(965);
  expect(waitBefore(email, outcome, start)).toBe(0);
  expect(waitBefore(email, answered('250 Ok'), start + 1_000)).toBeNull();
});
