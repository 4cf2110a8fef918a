/** list-recipients: lists the recipients of a campaign with their present status. Those that left their place are read from their record. */
import type { Campaign, PlaceMark } from '../domain/campaign.ts';
import { handOverAt, mayStand, type Placed, placeEmail } from '../domain/campaign-email.ts';
import { shownRecipients } from '../domain/email.ts';
import { placeId } from '../domain/id.ts';
import { isPending, type Recipient, type RecipientStatus } from '../domain/recipient.ts';
import type { Campaigns } from '../store/campaigns.ts';
import type { Emails } from '../store/emails.ts';

type Deps = { campaigns: Pick<Campaigns, 'placed'>; emails: Pick<Emails, 'read'> };

/** `pending` stands for every status that is not final. */
export type ListedStatus = RecipientStatus | 'pending';

export type ListedRecipient = {
  readonly emailId: string;
  readonly address: string;
  readonly name: string | null;
  /** Null when the recipient left its place and its record has been removed. */
  readonly recipient: Recipient | null;
  /** When the recipient was settled at its place, milliseconds since the epoch; null before, and when it was tried again: its email's events tell. */
  readonly at: number | null;
};

/** Yields some recipients at a time, in the order in which they were added. @param from the first place to look at */
export async function* listRecipients(
  { campaigns, emails }: Deps,
  campaign: Campaign,
  from: number,
  status: ListedStatus | null,
): AsyncGenerator<ListedRecipient[]> {
  const isWanted = (one: RecipientStatus) => status === null || isOf(one, status);
  const isMarkWanted = (mark: PlaceMark) =>
    mark === 'handing' ? isWanted('sending') : mayStand(mark, campaign.state, isWanted);
  for await (const placed of campaigns.placed(campaign.head.id, from, isMarkWanted)) {
    const all = await Promise.all(placed.map((one) => read(emails, campaign, one)));
    yield all.filter(({ recipient }) => (recipient === null ? status === null : isWanted(recipient.status)));
  }
}

function isOf(status: RecipientStatus, wanted: ListedStatus): boolean {
  return wanted === 'pending' ? isPending(status) : status === wanted;
}

async function read(emails: Deps['emails'], campaign: Campaign, placed: Placed): Promise<ListedRecipient> {
  const { row, mark, place, outcome } = placed;
  const emailId = placeId(campaign.head.id, place);
  const named = { emailId, address: row.address, name: row.name ?? null };
  if (mark !== 'left') return { ...named, recipient: standing(campaign, placed), at: outcome?.at ?? null };
  const email = await emails.read(emailId);
  const [recipient = null] = email === null ? [] : shownRecipients(email);
  const isAsItLeft = outcome !== null && email !== null && email.state.since <= outcome.at;
  return { ...named, recipient, at: isAsItLeft ? outcome.at : null };
}

function standing(campaign: Campaign, placed: Placed): Recipient | null {
  const { subject, createdAt } = campaign.head;
  const { state } = placeEmail(campaign, placed, subject, createdAt);
  return shownRecipients({ state, handOver: handOverAt(placed, createdAt) })[0] ?? null;
}
