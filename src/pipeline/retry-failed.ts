/** retry-failed: everybody in a campaign who failed, expired or is held is sent to once more. Who was refused for good is left alone. */
import type { CampaignStatus, PlaceMark } from '../domain/campaign.ts';
import { type StoredEmail, statusOf } from '../domain/email.ts';
import { placeId } from '../domain/id.ts';
import type { Change } from '../domain/outcome.ts';
import type { RecipientStatus } from '../domain/recipient.ts';
import type { Campaigns } from '../store/campaigns.ts';
import type { Emails } from '../store/emails.ts';
import type { Changed } from './settle.ts';

type Deps = {
  campaigns: Pick<Campaigns, 'status' | 'places'>;
  emails: Pick<Emails, 'lastChange'>;
  /** An email wherever it stands. */
  read(id: string): Promise<StoredEmail | null>;
  change(email: StoredEmail, asked: Change, changeId?: string): Promise<Changed>;
};

/** Emails under way at a time: each has its own round trips. */
const atOnce = 20;

const retryable: readonly RecipientStatus[] = ['failed', 'expired', 'outcome_unknown'];
/** Where somebody waits for what is retried. */
const sendsStill: readonly CampaignStatus[] = ['running', 'paused', 'completed'];

export type Retried =
  | { readonly kind: 'retried'; readonly count: number }
  /** It is not, or not any more, sent. */
  | { readonly kind: 'refused'; readonly status: CampaignStatus }
  | { readonly kind: 'gone' };

/**
 * How many are sent to again. Asked for once more, as after an answer that was lost, it goes on. Once it is canceled nobody else is: that is
 * seen by the very step that has somebody wait again, and who waited before is called off with the rest.
 * @param changeId under which it may be asked for again: who was retried under it before is counted, and not retried once more
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

/** Of those that left, their record says. */
function mayBeRetried(mark: PlaceMark): boolean {
  return mark === 'failed' || mark === 'expired' || mark === 'left';
}

/** Whether it is sent to again. */
async function retryOne({ emails, read, change }: Deps, id: string, changeId?: string): Promise<boolean> {
  if (changeId !== undefined && (await emails.lastChange(id)) === changeId) return true;
  const email = await read(id);
  if (email === null || !retryable.includes(statusOf(email.state))) return false;
  return (await change(email, { kind: 'retried' }, changeId)).kind === 'changed';
}
