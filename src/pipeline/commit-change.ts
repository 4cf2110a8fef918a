/** commit-change: stores a change that a caller asked for. An email at its place in a campaign leaves that place in the same step. */
import { finalMarkOf } from '../domain/campaign.ts';
import { isAtPlace } from '../domain/campaign-email.ts';
import type { Refusal } from '../domain/decide-change.ts';
import { statusOf } from '../domain/email.ts';
import { nextDue } from '../domain/recipient.ts';
import type { CampaignLeave } from '../store/campaign-leave.ts';
import type { ChangeCommitted, Emails } from '../store/emails.ts';
import type { Found } from './look-up.ts';

type Deps = {
  emails: Pick<Emails, 'commitChange'>;
  leave: CampaignLeave['leave'];
  lookUp(id: string): Promise<Found | null>;
};

/**
 * `lost` when the email changed or left its place meanwhile. Refused when the change would send an email again whose letter cannot be made.
 */
export async function commitChange(
  { emails, leave, lookUp }: Deps,
  ...given: Parameters<Emails['commitChange']>
): Promise<ChangeCommitted | Refusal> {
  const [email, after, changeId, now] = given;
  if (!isAtPlace(email)) return emails.commitChange(...given);
  const found = await lookUp(email.facts.id);
  if (found === null) return 'lost';
  if (found.fault !== undefined && nextDue(after.state) !== null) return { refused: found.fault };
  const mark = finalMarkOf(statusOf(email.state)) ?? 'queued';
  return leave({ email, mark, content: found.content, step: found.step }, after, changeId, now);
}
