/** Campaigns: what is stored of one, the states its recipients can be in, and how they are counted. */
import type { Mailbox } from './address.ts';
import type { OnUnknown, Tag } from './email.ts';
import type { CampaignEventType } from './event.ts';
import type { Rate } from './rate.ts';
import { isFinal, isPending, type RecipientStatus } from './recipient.ts';
import type { TemplateContent, TemplateUse, Variables } from './template.ts';

export const campaignStatuses = ['draft', 'scheduled', 'running', 'paused', 'completed', 'canceled'] as const;
export type CampaignStatus = (typeof campaignStatuses)[number];

/** Whether somebody can be added: from its start on it is final who is in it. */
export function takesRecipients(status: CampaignStatus): boolean {
  return status === 'draft' || status === 'scheduled';
}

/** What was asked for; fixed once it is sent. */
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
  /** Messages that may leave in each window; null for as fast as transports take them. */
  readonly rate: Rate | null;
  /** The template its content was copied of; null for content that was given with it. */
  readonly template: TemplateUse | null;
  /** As it is written in Liquid. */
  readonly subject: string;
  /** How often it was changed while it was a draft: no two of its heads are the same. Left out as long as it was not. */
  readonly revision?: number;
};

/** What each recipient's letter is made of, in Liquid: a copy, that no later change of a template reaches. */
export type CampaignContent = TemplateContent;

/** What a recipient of a campaign is counted as: exactly one of these at any moment. */
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

/** What moves. Times in milliseconds since the epoch. */
export type CampaignState = {
  readonly status: CampaignStatus;
  readonly scheduledAt: number | null;
  readonly startedAt: number | null;
  /** When nothing was left to do, or it was canceled. */
  readonly endedAt: number | null;
  readonly counts: Readonly<Record<CampaignCount | 'recipients', number>>;
  /** Messages a second that were settled of late; null when it is not running. */
  readonly pace: number | null;
};

/** When about nothing will be pending any more, at the pace of late; milliseconds since the epoch, null where nobody can say. */
export function etaOf({ status, counts, pace }: CampaignState, now: number): number | null {
  return status !== 'running' || pace === null || pace <= 0 ? null : Math.round(now + (counts.pending / pace) * 1_000);
}

/**
 * Since when a campaign of which something waits stands still, milliseconds since the epoch: its own rate may hold the next message back.
 * @param movedAt when somebody was settled last, or it was started or resumed
 */
export function stillSince(movedAt: number, rate: Rate | null): number {
  return movedAt + (rate === null ? 0 : Math.ceil(rate.windowMs / rate.count));
}

export type Campaign = { readonly head: CampaignHead; readonly state: CampaignState };

/** One recipient as it was uploaded. */
export type CampaignRow = { readonly address: string; readonly name?: string; readonly variables: Variables };

/** Recipients of one chunk: stored and compressed together. */
export const chunkSize = 500;
/** Recipients a worker takes at a time; a chunk is a whole number of slices. */
export const sliceSize = 50;
/** A slice of which something is left is looked at again after so long at most. */
export const mostAgainMs = 60_000;

/**
 * Where a recipient stands, one byte for each place. `left` is an ordinary email since, which has a record of its own; `handing` may have
 * been handed over at this moment.
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

/** Where nothing is left to do at a place. */
export type FinalMark = Exclude<PlaceMark, 'absent' | 'queued' | 'handing' | 'left'>;

/** The mark of a recipient that stays at its place; null when it is not done with, and leaves. */
export function finalMarkOf(status: RecipientStatus): FinalMark | null {
  return isFinal(status) ? (status as FinalMark) : null;
}

/** What moves a campaign, from which statuses, where to, and the event that tells of it. */
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
