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

/** A shorter bar than the least says nothing and is left out. */
const [barWidth, leastBarWidth] = [30, 5];

/**
 * `running  [#####     ]  50%  5000 of 10000, 98/s, done about 09:08:35Z`
 * @param now milliseconds since the epoch
 * @param columns the line is shorter than this: a longer one would be broken in two, and could not be redrawn
 */
export function progressOf(
  { status, counts: { recipients, pending }, pace, eta }: CampaignSeen,
  now: number,
  columns = Number.POSITIVE_INFINITY,
): string {
  const done = recipients - pending;
  const share = recipients === 0 ? 0 : done / recipients;
  const more = [
    ...(pace === null ? [] : [`${pace < 10 ? Number(pace.toPrecision(2)) : pace.toFixed(0)}/s`]),
    ...(eta === null ? [] : [`done about ${timeOf(eta, now)}`]),
  ];
  const percent = String(Math.floor(share * 100)).padStart(3);
  const words = `${percent}%  ${[`${done} of ${recipients}`, ...more].join(', ')}`;
  const shown = status.padEnd(9);
  const width = Math.min(barWidth, columns - 1 - `${shown} [] ${words}`.length);
  const bar = width < leastBarWidth ? '' : `[${'#'.repeat(Math.floor(share * width)).padEnd(width)}] `;
  return `${shown} ${bar}${words}`.slice(0, columns - 1);
}

/** The time of day, and the day where that is another than today. */
function timeOf(eta: string, now: number): string {
  const [day = '', time = ''] = eta.split('T');
  return new Date(now).toISOString().startsWith(day) ? `${time.slice(0, 8)}Z` : `${day} ${time.slice(0, 5)}Z`;
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
