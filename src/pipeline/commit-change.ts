/** commit-change: what a caller asked of an email is written where it stands: one at its place in a campaign leaves that by the very change. */
import { finalMarkOf } from '../domain/campaign.ts';
import { isAtPlace } from '../domain/campaign-email.ts';
import { type LoadedEmail, statusOf } from '../domain/email.ts';
import type { CampaignLeave } from '../store/campaign-leave.ts';
import type { Emails } from '../store/emails.ts';

type Deps = {
  emails: Pick<Emails, 'commitChange'>;
  leave: CampaignLeave['leave'];
  lookUp(id: string): Promise<LoadedEmail | null>;
};

/** Lost when it moved on, also when it left its place meanwhile. */
export async function commitChange(
  { emails, leave, lookUp }: Deps,
  ...given: Parameters<Emails['commitChange']>
): ReturnType<Emails['commitChange']> {
  const [email, after, changeId, now] = given;
  if (!isAtPlace(email)) return emails.commitChange(...given);
  const found = await lookUp(email.facts.id);
  if (found === null) return 'lost';
  const mark = finalMarkOf(statusOf(email.state)) ?? 'queued';
  return leave({ email, mark, content: found.content }, after, changeId, now);
}
