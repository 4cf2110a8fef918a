/** Campaigns: what is stored of one, the states of its recipients, and how they are counted. */
import type { Mailbox } from './address.ts';
import type { OnUnknown, Tag } from './email.ts';
import type { CampaignEventType } from './event.ts';
import type { Rate } from './rate.ts';
import { isFinal, isPending, type RecipientStatus } from './recipient.ts';
import type { TemplateContent, TemplateUse, Variables } from './template.ts';

export const campaignStatuses = ['draft', 'scheduled', 'running', 'paused', 'completed', 'canceled'] as const;
export type CampaignStatus = (typeof campaignStatuses)[number];

/** Whether recipients can be added: once a campaign starts, its list is final. */
export function takesRecipients(status: CampaignStatus): boolean {
  return status === 'draft' || status === 'scheduled';
}

/** What the caller asked for; fixed once the campaign is sent. */
export type CampaignHead = {
  readonly id: string;
  readonly createdAt: number;
  readonly keyId: string;
  readonly name: string;
  readonly from: Mailbox;
  readonly replyTo: readonly Mailbox[];
  readonly headers: Readonly<Record<string, string>>;
  readonly tags: readonly Tag[];
  readonly metadata: Readonly<Record<string, unknown>> | null;
  readonly route: string | null;
  readonly onUnknown: OnUnknown;
  /** Messages that may leave in each window; null means as fast as the transports take them. */
  readonly rate: Rate | null;
  /** The template its content was copied from; null for content given in the request. */
  readonly template: TemplateUse | null;
  /** The subject as Liquid source. */
  readonly subject: string;
  /** Fields that were not given: they were taken from the template, or the name from the subject. Another template replaces them. */
  readonly taken?: readonly TakenField[];
  /** How often it was changed as a draft, so that no two versions of a head are equal. Left out while it is 0. */
  readonly revision?: number;
};

export const takenFields = ['name', 'from', 'reply_to', 'subject'] as const;
export type TakenField = (typeof takenFields)[number];

/** The Liquid sources of each recipient's letter: a copy, so later changes of the template do not reach it. */
export type CampaignContent = TemplateContent;

/** What a recipient of a campaign counts as: exactly one of these at any moment. */
export const campaignCounts = [
  'pending',
  'sent',
  'delivered',
  'bounced',
  'complained',
  'failed',
  'suppressed',
  'canceled',
  'expired',
  'outcome_unknown',
] as const;
export type CampaignCount = (typeof campaignCounts)[number];

export function countOf(status: RecipientStatus): CampaignCount {
  return isPending(status) ? 'pending' : (status as Exclude<RecipientStatus, PendingStatus>);
}
type PendingStatus = 'scheduled' | 'queued' | 'deferred' | 'sending';

/** The state that changes. Times are milliseconds since the epoch. */
export type CampaignState = {
  readonly status: CampaignStatus;
  readonly scheduledAt: number | null;
  readonly startedAt: number | null;
  /** When the last recipient was settled, or when it was canceled. */
  readonly endedAt: number | null;
  readonly counts: Readonly<Record<CampaignCount | 'recipients', number>>;
  /** Messages per second settled lately; null when the campaign is not running, or no worker has measured it for a while. */
  readonly pace: number | null;
};

/** A pace as it is shown: the exact one has many digits. */
export function roundedPace(pace: number): number {
  return Number(pace.toPrecision(3));
}

/** The estimated time when no recipient will be pending, at the current pace; milliseconds since the epoch, null when unknown. */
export function etaOf({ status, counts, pace }: CampaignState, now: number): number | null {
  return status !== 'running' || pace === null || pace <= 0 ? null : Math.round(now + (counts.pending / pace) * 1_000);
}

/**
 * The time from which a campaign with waiting recipients counts as standing still, milliseconds since the epoch. Its own rate may rightly delay
 * the next message.
 * @param movedAt when a recipient was settled last, or the campaign was started or resumed
 */
export function stillSince(movedAt: number, rate: Rate | null): number {
  return movedAt + (rate === null ? 0 : Math.ceil(rate.windowMs / rate.count));
}

export type Campaign = { readonly head: CampaignHead; readonly state: CampaignState };

/** One recipient as it was uploaded. */
export type CampaignRow = { readonly address: string; readonly name?: string; readonly variables: Variables };

/** Recipients of one chunk, which are stored and compressed together. */
export const chunkSize = 500;
/** Recipients a worker takes at a time; a chunk is a whole number of slices. */
export const sliceSize = 50;
/** A slice with something left is looked at again after this time at most. */
export const mostAgainMs = 60_000;

/**
 * The state of a recipient at its place, one byte each. `left`: the recipient is now an ordinary email with a record of its own. `handing`: its
 * message may be handed over at this moment.
 */
export const placeMarks = {
  absent: '\0',
  queued: 'q',
  handing: 'h',
  left: 'l',
  sent: 's',
  delivered: 'd',
  bounced: 'b',
  complained: 'c',
  failed: 'f',
  suppressed: 'x',
  canceled: 'k',
  expired: 'e',
} as const;
export type PlaceMark = keyof typeof placeMarks;

const markOf = new Map<string, PlaceMark>(Object.entries(placeMarks).map(([mark, byte]) => [byte, mark as PlaceMark]));

export function readMark(byte: string): PlaceMark {
  return markOf.get(byte) ?? 'absent';
}

/** Marks of a place where nothing is left to do. */
export type FinalMark = Exclude<PlaceMark, 'absent' | 'queued' | 'handing' | 'left'>;

/** The mark of a finished recipient, which stays at its place; null for one that is not finished and must leave it. */
export function finalMarkOf(status: RecipientStatus): FinalMark | null {
  return isFinal(status) ? (status as FinalMark) : null;
}

/** Each move of a campaign: the statuses it starts from, the status it leads to, and its event. */
export const campaignMoves = {
  start: { from: ['draft', 'scheduled'], to: 'running', event: 'campaign.started' },
  schedule: { from: ['draft', 'scheduled'], to: 'scheduled', event: null },
  pause: { from: ['running'], to: 'paused', event: 'campaign.paused' },
  resume: { from: ['paused'], to: 'running', event: 'campaign.resumed' },
  cancel: { from: ['draft', 'scheduled', 'running', 'paused'], to: 'canceled', event: 'campaign.canceled' },
} as const satisfies Record<
  string,
  { from: readonly CampaignStatus[]; to: CampaignStatus; event: CampaignEventType | null }
>;
export type CampaignMove = keyof typeof campaignMoves;
