/** retry-failed: everybody in a campaign who failed, expired or is held is sent to once more. Who was refused for good is left alone. */
import type { CampaignStatus, PlaceMark } from '../domain/campaign.ts';
import { type StoredEmail, statusOf } from '../domain/email.ts';
import { placeId } from '../domain/id.ts';
import type { Change } from '../domain/outcome.ts';
import type { RecipientStatus } from '../domain/recipient.ts';
import type { Campaigns } from '../store/campaigns.ts';
import type { Changed } from './settle.ts';

type Deps = {
  campaigns: Pick<Campaigns, 'get' | 'places'>;
  /** An email wherever it stands. */
  read(id: string): Promise<StoredEmail | null>;
  change(email: StoredEmail, asked: Change): Promise<Changed>;
};

/** Emails under way at a time: each has its own round trips. */
const atOnce = 20;

const retried: readonly RecipientStatus[] = ['failed', 'expired', 'outcome_unknown'];
/** Where somebody waits for what is retried. */
const sendsStill: readonly CampaignStatus[] = ['running', 'paused', 'completed'];

/** How many are sent to again. Asked for once more, as after an answer that was lost, it goes on. Null when it is not, or not any more, sent. */
export async function retryFailed(deps: Deps, campaignId: string): Promise<{ readonly count: number } | null> {
  const campaign = await deps.campaigns.get(campaignId);
  if (campaign === null || !sendsStill.includes(campaign.state.status)) return null;
  let count = 0;
  let some: string[] = [];
  const retrySome = async () => {
    const outcomes = await Promise.all(some.map((id) => retryOne(deps, id)));
    count += outcomes.filter((isRetried) => isRetried).length;
    some = [];
  };
  for await (const place of deps.campaigns.places(campaignId, { from: null, isUp: true }, mayBeRetried)) {
    some.push(placeId(campaignId, place));
    if (some.length === atOnce) await retrySome();
  }
  await retrySome();
  return { count };
}

/** Of those that left, their record says. */
function mayBeRetried(mark: PlaceMark): boolean {
  return mark === 'failed' || mark === 'expired' || mark === 'left';
}

async function retryOne({ read, change }: Deps, id: string): Promise<boolean> {
  const email = await read(id);
  if (email === null || !retried.includes(statusOf(email.state))) return false;
  return (await change(email, { kind: 'retried' })).kind === 'changed';
}
