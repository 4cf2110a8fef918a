/** list-recipients: the recipients of a campaign where they stand now; those that left their place are read from the record they have since. */
import type { Campaign, PlaceMark } from '../domain/campaign.ts';
import { mayStand, type Placed, placeEmail } from '../domain/campaign-email.ts';
import { placeId } from '../domain/id.ts';
import { isPending, type Recipient, type RecipientStatus } from '../domain/recipient.ts';
import type { Campaigns } from '../store/campaigns.ts';
import type { Emails } from '../store/emails.ts';

type Deps = { campaigns: Pick<Campaigns, 'placed'>; emails: Pick<Emails, 'read'> };

/** `pending` is whoever is not done with. */
export type RosterStatus = RecipientStatus | 'pending';

export type RosterEntry = {
  readonly emailId: string;
  readonly address: string;
  readonly name: string | null;
  /** Null once the record of one that left its place has been removed. */
  readonly recipient: Recipient | null;
  /** When it came to what it is, milliseconds since the epoch; null where its email's own events tell that. */
  readonly at: number | null;
};

/** Some at a time, in the order in which they were added. @param from the first place that is looked at */
export async function* listRecipients(
  { campaigns, emails }: Deps,
  campaign: Campaign,
  from: number,
  status: RosterStatus | null,
): AsyncGenerator<RosterEntry[]> {
  const isWanted = (one: RecipientStatus) => status === null || isOf(one, status);
  const isMarkWanted = (mark: PlaceMark) =>
    mark === 'handing' ? isWanted('sending') : mayStand(mark, campaign.state, isWanted);
  for await (const placed of campaigns.placed(campaign.head.id, from, isMarkWanted)) {
    const all = await Promise.all(placed.map((one) => read(emails, campaign, one)));
    yield all.filter(({ recipient }) => (recipient === null ? status === null : isWanted(recipient.status)));
  }
}

function isOf(status: RecipientStatus, wanted: RosterStatus): boolean {
  return wanted === 'pending' ? isPending(status) : status === wanted;
}

async function read(emails: Deps['emails'], campaign: Campaign, placed: Placed): Promise<RosterEntry> {
  const { row, mark, place, outcome } = placed;
  const emailId = placeId(campaign.head.id, place);
  const named = { emailId, address: row.address, name: row.name ?? null };
  if (mark !== 'left') return { ...named, recipient: standing(campaign, placed), at: outcome?.at ?? null };
  const email = await emails.read(emailId);
  const [recipient = null] = email?.state.recipients ?? [];
  const isSending = recipient !== null && email?.handOver !== null && isPending(recipient.status);
  return { ...named, recipient: isSending ? { ...recipient, status: 'sending' } : recipient, at: null };
}

function standing(campaign: Campaign, placed: Placed): Recipient | null {
  const { subject, createdAt } = campaign.head;
  const [recipient = null] = placeEmail(campaign, placed, subject, createdAt).state.recipients;
  return recipient !== null && placed.mark === 'handing' ? { ...recipient, status: 'sending' } : recipient;
}
