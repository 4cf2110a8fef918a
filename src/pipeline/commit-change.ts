/**
 * commit-change: stores a change that a caller asked for. An email at its place in a campaign leaves that place in the same step; one that has left
 * it and lost its letter gets it once more.
 */
import { finalMarkOf } from '../domain/campaign.ts';
import { isAtPlace } from '../domain/campaign-email.ts';
import type { Refusal } from '../domain/decide-change.ts';
import { statusOf } from '../domain/email.ts';
import { nextDue } from '../domain/recipient.ts';
import type { CampaignLeave } from '../store/campaign-leave.ts';
import type { ChangeCommitted } from '../store/email-commit.ts';
import type { Emails } from '../store/emails.ts';
import type { Found, Made } from './look-up.ts';

type Deps = {
  emails: Pick<Emails, 'commitChange'>;
  leave: CampaignLeave['leave'];
  lookUp(id: string): Promise<Found | null>;
  /** Makes the letter of a recipient of a campaign; null when nothing is left to make it of. */
  makeLetter(id: string): Promise<Made | null>;
};

type Given = Parameters<Emails['commitChange']>;

/**
 * `lost` when the email changed or left its place meanwhile. Refused when the change would send an email again whose letter cannot be made.
 */
export async function commitChange(deps: Deps, ...given: Given): Promise<ChangeCommitted | Refusal> {
  const [email, after, changeId, now] = given;
  if (!isAtPlace(email)) return commitRecord(deps, ...given);
  const found = await deps.lookUp(email.facts.id);
  if (found === null) return 'lost';
  if (found.fault !== undefined && nextDue(after.state) !== null) return { refused: found.fault };
  const mark = finalMarkOf(statusOf(email.state)) ?? 'queued';
  return deps.leave({ email, mark, content: found.content, step: found.step }, after, changeId, now);
}

async function commitRecord({ emails, makeLetter }: Deps, ...given: Given): Promise<ChangeCommitted | Refusal> {
  const [email, after, changeId, now] = given;
  const committed = await emails.commitChange(...given);
  if (committed !== 'content_gone' || email.facts.campaignId === null) return committed;
  const made = await makeLetter(email.facts.id);
  if (made === null) return committed;
  if ('fault' in made) return { refused: made.fault };
  return emails.commitChange(email, { ...after, content: made.content }, changeId, now);
}
