/** The ledger: whatever becomes of an email's attempts and whatever is asked of it meanwhile, each recipient is in one state that it may be in. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Decision, decide, type RetryPolicy } from '../../src/domain/decide.ts';
import { decideChange } from '../../src/domain/decide-change.ts';
import { acceptEmail, type StoredEmail } from '../../src/domain/email.ts';
import type { Change, Feedback, SettledOutcome } from '../../src/domain/outcome.ts';
import { isPending, type Recipient, type RecipientStatus } from '../../src/domain/recipient.ts';
import { nextGroup, sandboxTransport } from '../../src/domain/sandbox.ts';
import { emailRequest, start } from '../support/requests.ts';

const policy: RetryPolicy = { scheduleMs: [10_000, 30_000], maxAgeMs: 3_600_000 };
const addresses = ['a@x.co', 'b@x.co', 'c@x.co', 'd@x.co', 'e@sandbox.invalid', 'f@sandbox.invalid'];

/** What happens `after` milliseconds after what happened before it. */
type Happening = { readonly after: number; readonly what: SettledOutcome | Change };

const smtp = fc.constantFrom(
  { code: 250, enhanced: '2.0.0', reply: '250 2.0.0 Ok' },
  { code: 450, enhanced: '4.2.0', reply: '450 4.2.0 Later' },
  { code: 451, enhanced: null, reply: '451 Later' },
  { code: 550, enhanced: '5.1.1', reply: '550 5.1.1 Unknown' },
  { code: 421, enhanced: '4.7.28', reply: '421 4.7.28 Too many messages' },
  { code: 451, enhanced: '4.7.1', reply: '451 4.7.1 Greylisted for 300 seconds' },
  { code: 451, enhanced: '4.7.1', reply: '451 4.7.1 Greylisted, come back in 00:50:00' },
  { code: 535, enhanced: '5.7.8', reply: '535 5.7.8 Authentication failed' },
);
const replies = fc.array(fc.record({ address: fc.constantFrom(...addresses, 'z@x.co'), smtp }), { maxLength: 5 });
const detail = fc.constantFrom('lost', 'refused');
const transport = fc.constantFrom('one', 'two', sandboxTransport);
const feedback: fc.Arbitrary<Feedback[]> = fc.array(
  fc.record({
    address: fc.constantFrom(...addresses, 'z@x.co'),
    kind: fc.constantFrom('delivered' as const, 'complained' as const),
  }),
  { maxLength: 3 },
);
const times = fc.integer({ min: start - 1_000, max: start + 2 * policy.maxAgeMs });

const outcomes: fc.Arbitrary<SettledOutcome> = fc.oneof(
  fc.record({ kind: fc.constant('answered' as const), transport, replies }),
  fc.record({ kind: fc.constant('answered' as const), transport, replies, feedback }),
  fc.record({ kind: fc.constant('unknown' as const), transport, detail, refused: replies }),
  fc.record({
    kind: fc.constant('transport_fault' as const),
    transport,
    cause: fc.constant('connect' as const),
    detail,
  }),
  fc.record({ kind: fc.constant('undeliverable' as const), transport, detail }),
  fc.record({ kind: fc.constant('fetch_fault' as const), detail, loggable: detail, isFinal: fc.boolean() }),
  fc.constant({ kind: 'expired' as const }),
);
const changes: fc.Arbitrary<Change> = fc.oneof(
  fc.constant({ kind: 'canceled' as const }),
  fc.record({ kind: fc.constant('rescheduled' as const), at: times }),
  fc.constant({ kind: 'retried' as const }),
);
const after = fc.oneof(fc.constant(0), fc.nat(60_000), fc.nat(policy.maxAgeMs));
const happenings: fc.Arbitrary<Happening[]> = fc.array(
  fc.record({ after, what: fc.oneof({ weight: 3, arbitrary: outcomes }, { weight: 2, arbitrary: changes }) }),
  { maxLength: 12 },
);

/** An email as it was accepted at `start`. */
const accepted: fc.Arbitrary<StoredEmail> = fc
  .record({
    to: fc.subarray(addresses, { minLength: 1 }),
    on_unknown: fc.constantFrom('retry', 'hold'),
    ttl: fc.option(fc.integer({ min: 1, max: 7_200 }), { nil: undefined }),
    scheduledAt: fc.option(times, { nil: undefined }),
  })
  .map(({ scheduledAt, ...given }) => {
    const time = scheduledAt === undefined ? {} : { scheduled_at: new Date(scheduledAt).toISOString() };
    const request = emailRequest.parse({ from: 'f@x.co', subject: 's', text: 't', ...given, ...time });
    const { facts, state } = acceptEmail(request, { id: 'em_1', keyId: 'k', now: start });
    return { facts, state, version: 1, handOver: null };
  });

const retryable: readonly RecipientStatus[] = ['failed', 'expired', 'outcome_unknown'];

function isChange(what: SettledOutcome | Change): what is Change {
  return what.kind === 'canceled' || what.kind === 'rescheduled' || what.kind === 'retried';
}

/** What one commit may tell of a recipient in two events. */
const twoSteps = /^(?:email\.sent email\.(?:delivered|complained)|email\.outcome_unknown email\.(?:failed|expired))$/;

function holdsAfter(email: StoredEmail, { state, events, again }: Decision, what: SettledOutcome | Change): void {
  expect(state.recipients.map(({ address, kind }) => [address, kind])).toEqual(
    email.state.recipients.map(({ address, kind }) => [address, kind]),
  );
  for (const [index, is] of state.recipients.entries()) {
    const was = email.state.recipients[index]?.status as RecipientStatus;
    expect(is.nextAttemptAt === null, `${is.status} is due ${is.nextAttemptAt}`).toBe(!isPending(is.status));
    if (isPending(was) || is.status === was) continue;
    if (was === 'outcome_unknown' && what.kind === 'answered') continue;
    if (was === 'outcome_unknown' && what.kind === 'canceled') continue;
    expect([what.kind, is.status]).toEqual(['retried', 'queued']);
    expect(retryable).toContain(was);
  }
  expect(state.sequence).toBe(email.state.sequence + events.length);
  expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, n) => email.state.sequence + n + 1));
  expect(events.every(({ to }) => to.length > 0 && new Set(to).size === to.length)).toBe(true);
  for (const { address } of state.recipients) {
    const types = events.filter(({ to }) => to.includes(address)).map(({ type }) => type);
    if (types.length > 1) expect(types.join(' '), `what is told of ${address} at once`).toMatch(twoSteps);
  }
  if (events.length > 0) expect(state.lastEvent).toBe(events.at(-1)?.type);
  const due = state.recipients.flatMap(({ nextAttemptAt }) => nextAttemptAt ?? []);
  expect(again).toBe(due.length === 0 ? null : Math.min(...due));
}

/** Whoever became final was told of, in an event of that name. */
function tellsOfEnds(email: StoredEmail, { state, events }: Decision): void {
  for (const [index, { address, status }] of state.recipients.entries()) {
    if (isPending(status) || status === email.state.recipients[index]?.status) continue;
    expect(events.findLast(({ to }) => to.includes(address))?.type).toBe(`email.${status}`);
  }
}

it('balances after any sequence of outcomes and changes', () => {
  fc.assert(
    fc.property(accepted, happenings, (given, story) => {
      let email = given;
      let now = start;
      for (const { after: ms, what } of story) {
        now += ms;
        const decision = isChange(what) ? decideChange(email, what, now) : decide(email, what, policy, now, 0.5);
        if ('refused' in decision) continue;
        holdsAfter(email, decision, what);
        tellsOfEnds(email, decision);
        if (isChange(what)) expect(decision.events.length).toBeGreaterThan(0);
        email = { ...email, state: decision.state, version: email.version + 1 };
      }
    }),
    { numRuns: 800 },
  );
});

it('ends by itself: retried whenever it says so, every recipient is final within its time', () => {
  const lasting = outcomes.filter(({ kind }) => kind !== 'expired');
  fc.assert(
    fc.property(accepted, fc.array(lasting, { minLength: 1, maxLength: 5 }), (given, round) => {
      let email = given;
      let dueAt: number | null = Math.max(start, email.state.since);
      const end = email.state.expiresAt ?? email.state.since + policy.maxAgeMs;
      for (let n = 0; dueAt !== null && n < 5_000; n++) {
        expect(dueAt).toBeLessThanOrEqual(end);
        const outcome = round[n % round.length] as SettledOutcome;
        const decision: Decision = decide(email, asAttempted(email, outcome, dueAt), policy, dueAt, 0.5);
        email = { ...email, state: decision.state };
        dueAt = decision.again;
      }
      expect(dueAt).toBeNull();
    }),
    { numRuns: 300 },
  );
});

/** As the attempt whose turn it is would have it: over the transport of those it is for, which answers for everybody it was given. */
function asAttempted(email: StoredEmail, outcome: SettledOutcome, now: number): SettledOutcome {
  if (!('transport' in outcome)) return outcome;
  const pending = email.state.recipients.filter(({ status }) => isPending(status));
  const { isSandbox, recipients } = nextGroup(pending, now);
  const to = recipients.map(({ address }) => address);
  const over = { ...outcome, transport: isSandbox ? sandboxTransport : 'one', to };
  return over.kind === 'answered' ? { ...over, replies: forAll(recipients, over.replies) } : over;
}

function forAll(recipients: readonly Recipient[], given: Extract<SettledOutcome, { kind: 'answered' }>['replies']) {
  const later = { code: 450, enhanced: null, reply: '450 Later' };
  const isAsked = new Set(recipients.map(({ address }) => address));
  const others = recipients.map(({ address }) => ({ address, smtp: later }));
  return [...given.filter(({ address }) => isAsked.has(address)), ...others];
}
