/** Describes a campaign in words, as far as the API shows it. */
import { type CampaignCount, type CampaignStatus, campaignCounts } from '../domain/campaign.ts';

export type CampaignSeen = {
  readonly id: string;
  /** Missing for a key that may not read. */
  readonly name?: string;
  readonly status: CampaignStatus;
  readonly counts: Readonly<Record<CampaignCount | 'recipients', number>>;
  readonly pace: number | null;
  readonly eta: string | null;
  readonly scheduled_at?: string | null;
};

const barWidth = 30;

/** `running  [#####     ]  50%  5000 of 10000, 98/s, done about 09:08:35Z` */
export function progressOf({ status, counts: { recipients, pending }, pace, eta }: CampaignSeen): string {
  const done = recipients - pending;
  const share = recipients === 0 ? 0 : done / recipients;
  const bar = '#'.repeat(Math.floor(share * barWidth)).padEnd(barWidth);
  const more = [
    ...(pace === null ? [] : [`${pace < 10 ? Number(pace.toPrecision(2)) : pace.toFixed(0)}/s`]),
    ...(eta === null ? [] : [`done about ${eta.slice(11, 19)}Z`]),
  ];
  const percent = String(Math.floor(share * 100)).padStart(3);
  return `${status.padEnd(9)} [${bar}] ${percent}%  ${[`${done} of ${recipients}`, ...more].join(', ')}`;
}

/** The counts of recipients, one line each, without those that are zero. */
export function ledgerOf({ id, name, status, counts, scheduled_at }: CampaignSeen): string {
  const rows = campaignCounts
    .filter((count) => counts[count] > 0)
    .map((count): [string, number] => [count, counts[count]]);
  const all: [string, number][] = [['recipients', counts.recipients], ...rows];
  const beginning = status === 'scheduled' && scheduled_at ? ` for ${scheduled_at}` : '';
  return [
    `${id}  ${name === undefined ? '' : `${name}: `}${status}${beginning}`,
    ...all.map(([what, n]) => `  ${what.padEnd(16)}${n}`),
    '',
  ].join('\n');
}

/** The campaign is over, and no recipient got its letter. */
export function hasReachedNobody({ status, counts }: CampaignSeen): boolean {
  return status === 'completed' && counts.sent + counts.delivered + counts.complained + counts.outcome_unknown === 0;
}

/** Nothing of the campaign is left to send. */
export function isOver({ status, counts }: CampaignSeen): boolean {
  return status === 'completed' || (status === 'canceled' && counts.pending === 0);
}
