/** retry-failed: everybody in a campaign who failed, expired or is held is sent to once more. Who was refused for good is left alone. */
import type { CampaignStatus, PlaceMark } from '../domain/campaign.ts';
import { type StoredEmail, statusOf } from '../domain/email.ts';
import { placeId } from '../domain/id.ts';
import type { Change } from '../domain/outcome.ts';
import type { RecipientStatus } from '../domain/recipient.ts';
import type { Campaigns } from '../store/campaigns.ts';
import type { Changed } from './settle.ts';

type Deps = {
  campaigns: Pick<Campaigns, 'status' | 'places'>;
  /** An email wherever it stands. */
  read(id: string): Promise<StoredEmail | null>;
  change(email: StoredEmail, asked: Change): Promise<Changed>;
};

/** Emails under way at a time: each has its own round trips. */
const atOnce = 20;

const retryable: readonly RecipientStatus[] = ['failed', 'expired', 'outcome_unknown'];
/** Where somebody waits for what is retried. */
const sendsStill: readonly CampaignStatus[] = ['running', 'paused', 'completed'];

/**
 * How many are sent to again. Asked for once more, as after an answer that was lost, it goes on. Null when it is not, or not any more, sent:
 * once it is canceled nobody else is.
 */
export async function retryFailed(deps: Deps, campaignId: string): Promise<{ readonly count: number } | null> {
  if (!(await isSent(deps, campaignId))) return null;
  let count = 0;
  let some: string[] = [];
  const retrySome = async (): Promise<boolean> => {
    const retried = (await Promise.all(some.map((id) => retryOne(deps, id)))).filter((id) => id !== null);
    count += retried.length;
    some = [];
    if (await isSent(deps, campaignId)) return true;
    // Who calls off what waits in it may have been past these places before they were retried.
    await Promise.all(retried.map((id) => cancelOne(deps, id)));
    return false;
  };
  for await (const place of deps.campaigns.places(campaignId, { from: null, isUp: true }, mayBeRetried)) {
    some.push(placeId(campaignId, place));
    if (some.length === atOnce && !(await retrySome())) return null;
  }
  return (await retrySome()) ? { count } : null;
}

async function isSent({ campaigns }: Deps, id: string): Promise<boolean> {
  const status = await campaigns.status(id);
  return status !== null && sendsStill.includes(status);
}

/** Of those that left, their record says. */
function mayBeRetried(mark: PlaceMark): boolean {
  return mark === 'failed' || mark === 'expired' || mark === 'left';
}

/** Its id, when it is sent to again. */
async function retryOne({ read, change }: Deps, id: string): Promise<string | null> {
  const email = await read(id);
  if (email === null || !retryable.includes(statusOf(email.state))) return null;
  return (await change(email, { kind: 'retried' })).kind === 'changed' ? id : null;
}

/** What is on its way by now arrives. */
async function cancelOne({ read, change }: Deps, id: string): Promise<void> {
  const email = await read(id);
  if (email !== null) await change(email, { kind: 'canceled' });
}
