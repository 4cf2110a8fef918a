/** call-off: cancels an email of a canceled campaign that left its place, if it still waits. */
import { type StoredEmail, statusOf } from '../domain/email.ts';
import type { Change } from '../domain/outcome.ts';
import { isPending } from '../domain/recipient.ts';
import type { Emails } from '../store/emails.ts';
import type { Changed } from './settle.ts';

type Deps = {
  emails: Pick<Emails, 'read'>;
  change(email: StoredEmail, asked: Change): Promise<Changed>;
};

/** False when the email is being handed over at this moment: the caller looks again later. */
export async function callOff({ emails, change }: Deps, id: string): Promise<boolean> {
  const email = await emails.read(id);
  if (email === null || !isPending(statusOf(email.state))) return true;
  const changed = await change(email, { kind: 'canceled' });
  return changed.kind !== 'refused' || !isPending(statusOf(changed.email.state));
}
