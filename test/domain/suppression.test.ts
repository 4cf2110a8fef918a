/** What an email's end says against an address: who is not there, who complained, and nobody else. */
import { expect, it } from 'vitest';
import type { StoredEmail } from '../../src/domain/email.ts';
import type { EmailEvent } from '../../src/domain/event.ts';
import type { SettledOutcome, SharedStage } from '../../src/domain/outcome.ts';
import type { Recipient } from '../../src/domain/recipient.ts';
import {
  pendingAddresses,
  type Suppression,
  type SuppressionReason,
  suppressedForm,
  suppressionsOf,
  withSuppressed,
} from '../../src/domain/suppression.ts';
import { eventOf } from '../support/event-feed.ts';
import { recipient, storedEmail } from '../support/requests.ts';

const gone = { code: 550, enhanced: '5.1.1', reply: '550 5.1.1 No such user' };
const spam = { code: 550, enhanced: '5.7.1', reply: '550 5.7.1 Message looks like spam' };

/** What each recipient has now was said to its own RCPT, if nothing else is said. */
function verdicts(before: StoredEmail, ...after: Recipient[]) {
  const replies = after.flatMap(({ address, smtp }) => (smtp === null ? [] : [{ address, smtp }]));
  return verdictsAfter({ kind: 'answered', transport: 't', replies }, before, ...after);
}

function verdictsAfter(outcome: SettledOutcome, before: StoredEmail, ...after: Recipient[]) {
  const found = suppressionsOf(before, { ...before.state, recipients: after }, outcome, () => 'sp_1');
  return found.map(({ address, scope, reason, emailId }) => [address, scope, reason, emailId]);
}

it('suppresses a mailbox that does not exist, for all mail, but not one that refused the message', () => {
  const before = storedEmail(['Gone@x.co', 'b@x.co', 'c@x.co'].map((address) => recipient(address)));
  const after = before.state.recipients.map((one) => ({ ...one, status: 'bounced', nextAttemptAt: null }) as const);
  const [a, b, c] = after.map((one, place) => ({ ...one, smtp: [gone, spam, null][place] ?? null }));
  expect(verdicts(before, a as Recipient, b as Recipient, c as Recipient)).toEqual([
    ['gone@x.co', 'all', 'bounce', 'em_1'],
  ]);
});

it.each<[SharedStage, string[], string[]]>([
  ['mail', ['a@x.co'], []],
  ['mail', ['a@x.co', 'b@x.co'], []],
  ['data', ['a@x.co'], ['a@x.co']],
  ['data', ['a@x.co', 'b@x.co'], []],
])('takes what is said to %s of a message to %j as being about %j', (stage, to, suppressed) => {
  const before = storedEmail(to.map((address) => recipient(address)));
  const after = to.map((address) => recipient(address, { status: 'bounced', smtp: gone, nextAttemptAt: null }));
  const replies = to.map((address) => ({ address, smtp: gone, stage }));
  const found = verdictsAfter({ kind: 'answered', transport: 't', replies }, before, ...after);
  expect(found.map(([address]) => address)).toEqual(suppressed);
});

it('suppresses a recipient that was refused by name before the connection broke', () => {
  const before = storedEmail([recipient('gone@x.co'), recipient('b@x.co')]);
  const refused = [{ address: 'gone@x.co', smtp: gone }];
  const outcome = { kind: 'unknown', transport: 't', detail: 'ECONNECTION', refused } as const;
  const after = recipient('gone@x.co', { status: 'bounced', smtp: gone, nextAttemptAt: null });
  expect(verdictsAfter(outcome, before, after)).toEqual([['gone@x.co', 'all', 'bounce', 'em_1']]);
});

it('suppresses a recipient that complained about bulk mail for bulk mail only', () => {
  for (const [lane, scope] of [
    ['bulk', 'bulk'],
    ['transactional', 'all'],
  ] as const) {
    const before = storedEmail([recipient('a@x.co', { status: 'sent' })], { facts: { lane } });
    expect(verdicts(before, recipient('a@x.co', { status: 'complained' }))).toEqual([
      ['a@x.co', scope, 'complaint', 'em_1'],
    ]);
  }
});

it('says nothing about recipients whose state stays, nor about sandbox recipients', () => {
  const bounced = recipient('a@x.co', { status: 'bounced', smtp: gone });
  expect(verdicts(storedEmail([bounced]), bounced)).toEqual([]);
  const sandbox = recipient('bounced@sandbox.invalid');
  expect(verdicts(storedEmail([sandbox]), { ...sandbox, status: 'bounced', smtp: gone })).toEqual([]);
});

it('marks a bounce when it suppressed all of its recipients, and no other event', () => {
  const made = (address: string, reason: SuppressionReason = 'bounce'): Suppression => {
    return { id: 'sp_1', address, scope: 'all', reason, emailId: 'em_1', note: null };
  };
  const event = (type: EmailEvent['type'], ...to: string[]) => eventOf('em_1', 2, { type, to });
  const marked = (one: EmailEvent, ...list: ReturnType<typeof made>[]) => withSuppressed([one], list)[0]?.suppressed;
  expect(marked(event('email.bounced', 'A@x.co', 'b@x.co'), made('a@x.co'), made('b@x.co'))).toBe(true);
  expect(marked(event('email.bounced', 'a@x.co', 'b@x.co'), made('a@x.co'))).toBeUndefined();
  expect(marked(event('email.bounced', 'a@x.co'), made('a@x.co', 'complaint'))).toBeUndefined();
  expect(marked(event('email.sent', 'a@x.co'), made('a@x.co'))).toBeUndefined();
});

it('has one form for all spellings of an address, whatever their case and however their letters are composed', () => {
  const forms = ['JOS\u00c9@x.co', 'jose\u0301@x.co'].map(suppressedForm);
  expect(forms).toEqual(['jos\u00e9@x.co', 'jos\u00e9@x.co']);
  // Of this letter only the small form is one character.
  expect(['J\u030can@x.co', '\u01f0an@x.co'].map(suppressedForm)).toEqual(['\u01f0an@x.co', '\u01f0an@x.co']);
});

it('asks about pending recipients, each once, whatever their case', () => {
  const sent = recipient('sent@x.co', { status: 'sent', nextAttemptAt: null });
  const email = storedEmail([
    recipient('A@x.co'),
    recipient('a@x.co', { kind: 'cc' }),
    sent,
    recipient('slow@sandbox.invalid'),
  ]);
  expect(pendingAddresses(email)).toEqual(['a@x.co']);
});
