/** suppress: finds the suppressed recipients of emails about to be sent. Asked at the last moment, because mail may have waited for long. */
import type { StoredEmail } from '../domain/email.ts';
import { timeOfId } from '../domain/id.ts';
import type { Lane } from '../domain/lane.ts';
import type { SettledOutcome } from '../domain/outcome.ts';
import { pendingAddresses, wordSuppression } from '../domain/suppression.ts';
import type { Suppressions } from '../store/suppressions.ts';

type Deps = { suppressions: Pick<Suppressions, 'find'> };

/** For each email its suppressed recipients, as an outcome; null when there are none. One round trip for all emails. */
export async function suppress(
  { suppressions }: Deps,
  emails: readonly (StoredEmail | null)[],
  lane: Lane,
): Promise<(SettledOutcome | null)[]> {
  const asked = emails.map((email) => (email === null ? [] : pendingAddresses(email)));
  const found = await suppressions.find([...new Set(asked.flat())], lane);
  return asked.map((addresses) => {
    const recipients = addresses.flatMap((address) => {
      const suppression = found.get(address);
      if (suppression === undefined) return [];
      return [{ address, reason: wordSuppression(suppression, timeOfId(suppression.id)) }];
    });
    return recipients.length === 0 ? null : { kind: 'suppressed', recipients };
  });
}
