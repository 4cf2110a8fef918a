/** retry-failed: sends again to each recipient of a campaign that failed, expired or is held. Bounced recipients are left alone. */
import type { CampaignStatus, PlaceMark } from '../domain/campaign.ts';
import { type StoredEmail, statusOf } from '../domain/email.ts';
import { placeId } from '../domain/id.ts';
import type { Change } from '../domain/outcome.ts';
import { isRetryable } from '../domain/recipient.ts';
import type { Campaigns } from '../store/campaigns.ts';
import type { Emails } from '../store/emails.ts';
import type { Changed } from './settle.ts';

type Deps = {
  campaigns: Pick<Campaigns, 'status' | 'places'>;
  emails: Pick<Emails, 'lastChange'>;
  /** Reads an email from its own record or at its place. */
  read(id: string): Promise<StoredEmail | null>;
  change(email: StoredEmail, asked: Change, changeId?: string): Promise<Changed>;
};

/** Emails retried at a time: each needs its own round trips. */
const atOnce = 20;

/** Status of campaigns whose recipients can be retried. */
const sendsStill: readonly CampaignStatus[] = ['running', 'paused', 'completed'];

export type Retried =
  | { readonly kind: 'retried'; readonly count: number }
  /** The campaign is not being sent yet, or not any more. */
  | { readonly kind: 'refused'; readonly status: CampaignStatus }
  | { readonly kind: 'gone' };

/**
 * Retries the recipients and counts them. A repeated request, for instance after a lost answer, continues. Once the campaign is canceled, no
 * other recipient is retried: the script that stores a retry checks that, and recipients retried before are canceled with all others.
 * @param changeId id of the request, kept by its repeats: a recipient that was retried under it is counted, and not retried again
 */
export async function retryFailed(deps: Deps, campaignId: string, changeId?: string): Promise<Retried> {
  let status = await deps.campaigns.status(campaignId);
  let count = 0;
  let some: string[] = [];
  const retrySome = async (): Promise<void> => {
    const retried = await Promise.all(some.map((id) => retryOne(deps, id, changeId)));
    count += retried.filter((isRetried) => isRetried).length;
    some = [];
    status = await deps.campaigns.status(campaignId);
  };
  for await (const place of deps.campaigns.places(campaignId, { from: null, isUp: true }, mayBeRetried)) {
    if (!isSent(status)) break;
    some.push(placeId(campaignId, place));
    if (some.length === atOnce) await retrySome();
  }
  if (isSent(status)) await retrySome();
  if (status === null) return { kind: 'gone' };
  return isSent(status) ? { kind: 'retried', count } : { kind: 'refused', status };
}

function isSent(status: CampaignStatus | null): boolean {
  return status !== null && sendsStill.includes(status);
}

/** Whether a recipient left its place and may be retried, its record says. */
function mayBeRetried(mark: PlaceMark): boolean {
  return mark === 'failed' || mark === 'expired' || mark === 'left';
}

/** Whether the email is sent again. */
async function retryOne({ emails, read, change }: Deps, id: string, changeId?: string): Promise<boolean> {
  if (changeId !== undefined && (await emails.lastChange(id)) === changeId) return true;
  const email = await read(id);
  if (email === null || !isRetryable(statusOf(email.state))) return false;
  return (await change(email, { kind: 'retried' }, changeId)).kind === 'changed';
}
