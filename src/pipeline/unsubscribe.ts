/** unsubscribe: a reader wants no more bulk mail. Stores the suppression for good, with an event of the email that had the link. */
import type { StoredEmail } from '../domain/email.ts';
import type { EmailEvent } from '../domain/event.ts';
import type { Change } from '../domain/outcome.ts';
import { type Suppression, suppressedForm } from '../domain/suppression.ts';
import type { Subscription } from '../domain/unsubscribe.ts';
import type { Emails } from '../store/emails.ts';
import type { Suppressions } from '../store/suppressions.ts';
import type { Changed } from './settle.ts';

type Deps = {
  emails: Pick<Emails, 'read'>;
  suppressions: Pick<Suppressions, 'get' | 'addTold'>;
  change(email: StoredEmail, asked: Change): Promise<Changed>;
  newId(prefix: 'sp' | 'ev'): string;
  now(): number;
};

/** A repeat does nothing: anybody may ask, without a key. A link outlives the record of its email: then only the event shows the unsubscription. */
export async function unsubscribe(deps: Deps, { emailId, address }: Subscription): Promise<void> {
  const suppression: Suppression = {
    id: deps.newId('sp'),
    address: suppressedForm(address),
    scope: 'bulk',
    reason: 'unsubscribe',
    emailId,
    note: null,
  };
  const known = await deps.suppressions.get(address);
  if (known.some((one) => one.reason === 'unsubscribe' && one.emailId === emailId)) return;
  const email = await deps.emails.read(emailId);
  const changed = email === null ? null : await deps.change(email, { kind: 'unsubscribed', suppression });
  if (changed?.kind === 'changed') return;
  // The record is gone, or has this event already, or must not change during a hand-over: only a new suppression brings an event.
  const event: EmailEvent = {
    id: deps.newId('ev'),
    type: 'email.unsubscribed',
    at: deps.now(),
    emailId,
    sequence: 0,
    to: [address],
    attempt: 0,
    transport: null,
    smtp: null,
    reason: null,
  };
  await deps.suppressions.addTold(suppression, event);
}
