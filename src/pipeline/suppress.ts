/** suppress: of emails about to be sent, the recipients that get no more mail. Asked at the last moment, as mail may have waited for long. */
import type { StoredEmail } from '../domain/email.ts';
import { timeOfId } from '../domain/id.ts';
import type { Lane } from '../domain/lane.ts';
import type { SettledOutcome } from '../domain/outcome.ts';
import { pendingAddresses, wordSuppression } from '../domain/suppression.ts';
import type { Suppressions } from '../store/suppressions.ts';

type Deps = { suppressions: Pick<Suppressions, 'find'> };

/** For each email, what is to be settled for it; null when it may go to everybody. One round trip for all of them. */
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
