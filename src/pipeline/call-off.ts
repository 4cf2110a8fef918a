/** call-off: cancels an email of a canceled campaign that left its place, if it still waits or is held. */
import { type StoredEmail, statusOf } from '../domain/email.ts';
import type { Change } from '../domain/outcome.ts';
import { isFinal } from '../domain/recipient.ts';
import type { Emails } from '../store/emails.ts';
import type { Changed } from './settle.ts';

type Deps = {
  emails: Pick<Emails, 'read'>;
  change(email: StoredEmail, asked: Change): Promise<Changed>;
};

/** False when the email is being handed over at this moment: the caller looks again later. */
export async function callOff({ emails, change }: Deps, id: string): Promise<boolean> {
  const email = await emails.read(id);
  if (email === null || isFinal(statusOf(email.state))) return true;
  const changed = await change(email, { kind: 'canceled' });
  return changed.kind !== 'refused' || isFinal(statusOf(changed.email.state));
}
