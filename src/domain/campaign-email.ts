/** The email to one recipient of a campaign, built from the campaign's data while the recipient has no email record of its own. */
import { domainOf } from './address.ts';
import type { CampaignHead, CampaignRow, CampaignState, PlaceMark } from './campaign.ts';
import { parseReply } from './classify.ts';
import type { EmailFacts, EmailState, HandOver, StoredEmail } from './email.ts';
import { eventOf } from './event.ts';
import { placeId } from './id.ts';
import { type AttemptTrace, noTransport, type SettledOutcome } from './outcome.ts';
import { isPending, type Recipient, type RecipientStatus } from './recipient.ts';
import { isSandbox, sandboxTransport } from './sandbox.ts';
import type { Variables, WovenLetter } from './template.ts';
import type { TimelineStep } from './timeline.ts';
import { linkMark } from './unsubscribe-link.ts';
import type { WovenContent } from './woven.ts';

/** The result of the last attempt at a place, or of what ended it without an attempt. */
export type PlaceOutcome = {
  readonly place: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly attempts: number;
  readonly transport: string | null;
  /** The next hop's reply, as one line. */
  readonly reply: string | null;
  readonly reason: string | null;
  readonly trace: AttemptTrace | null;
};

/** A recipient at its place, with its mark. */
export type Placed = {
  readonly place: number;
  readonly row: CampaignRow;
  readonly mark: PlaceMark;
  readonly outcome: PlaceOutcome | null;
};

/**
 * What an email at a place needs of its campaign. Its `createdAt` is the start of the campaign, or before that the time the campaign was made.
 */
type PlacedCampaign = {
  readonly head: CampaignHead;
  readonly state: Pick<CampaignState, 'status' | 'startedAt' | 'scheduledAt'>;
};

/**
 * The facts of an email of this campaign, which never change.
 * @param subject as rendered; when that is not known, the subject as written
 */
export function placeFacts(
  { head, startedAt }: { readonly head: CampaignHead; readonly startedAt: number | null },
  place: number,
  subject: string = head.subject,
): EmailFacts {
  const id = placeId(head.id, place);
  return {
    id,
    createdAt: startedAt ?? head.createdAt,
    keyId: head.keyId,
    messageId: `${id}@${domainOf(head.from.address)}`,
    from: head.from,
    replyTo: head.replyTo,
    subject,
    tags: head.tags,
    metadata: head.metadata,
    externalId: null,
    lane: 'bulk',
    route: head.route,
    ttlMs: null,
    onUnknown: head.onUnknown,
    dsn: null,
    template: head.template,
    campaignId: head.id,
  };
}

/** No record has this version: those begin with 1. */
const versionAtPlace = 0;

/** Whether the email has no record of its own yet. */
export function isAtPlace({ version }: Pick<StoredEmail, 'version'>): boolean {
  return version === versionAtPlace;
}

/**
 * The email as if it had a record. Once a recipient has left its place, its record must be read instead.
 * @param since from when its age counts
 */
export function placeEmail(
  { head, state }: PlacedCampaign,
  placed: Placed,
  subject: string,
  since: number,
): StoredEmail {
  return {
    facts: placeFacts({ head, startedAt: state.startedAt }, placed.place, subject),
    state: placeState(state, placed, since),
    version: versionAtPlace,
    handOver: null,
  };
}

/** A recipient's hand-over at its place, of which nothing is known except that it is open. */
export function handOverAt({ mark }: Placed, at: number): HandOver | null {
  return mark === 'handing' ? { at, transport: '', attemptId: '', job: '' } : null;
}

function placeState(campaign: PlacedCampaign['state'], { row, mark, outcome }: Placed, since: number): EmailState {
  const status = statusOfMark(mark, campaign);
  const smtp = outcome === null || outcome.reply === null ? null : parseReply(outcome.reply);
  const recipient: Recipient = {
    kind: 'to',
    address: row.address,
    ...(row.name === undefined ? {} : { name: row.name }),
    status,
    attempts: outcome?.attempts ?? 0,
    smtp,
    transport: outcome?.transport ?? null,
    nextAttemptAt: isPending(status) ? since : null,
    reason: outcome?.reason ?? null,
  };
  return {
    recipients: [recipient],
    lastEvent: eventOf(status) ?? 'email.queued',
    sequence: statesUpTo(status).length,
    scheduledAt: campaign.startedAt === null ? campaign.scheduledAt : null,
    since,
    expiresAt: null,
  };
}

/**
 * The states that its events reported, in order. Waiting has no event of its own, since the campaign's events cover it; `delivered` and `complained`
 * come after `sent`.
 */
function statesUpTo(status: RecipientStatus): readonly RecipientStatus[] {
  if (isPending(status)) return [];
  return status === 'delivered' || status === 'complained' ? ['sent', status] : [status];
}

/** Its timeline: the campaign keeps only the last outcome of an email at its place. */
export function placeSteps({ mark, outcome }: Placed): TimelineStep[] {
  if (outcome === null) return [];
  const { at, transport, reply, reason, trace } = outcome;
  const status = statusOfMark(mark, { status: 'running', startedAt: at });
  const types = statesUpTo(status)
    .map(eventOf)
    .filter((type) => type !== null);
  const said = { ...(reply === null ? {} : { reply }), ...(reason === null ? {} : { reason }) };
  const events = types.map((type, n) => ({ type, seq: n + 1, who: [0], ...(n === 0 ? said : {}) }));
  return [
    {
      at,
      kind: stepKindOf(status),
      ...(transport === null ? {} : { transport }),
      ...(trace === null ? {} : { trace }),
      events,
    },
  ];
}

function stepKindOf(status: RecipientStatus): TimelineStep['kind'] {
  if (status === 'suppressed' || status === 'canceled' || status === 'expired') return status;
  return status === 'failed' ? 'undeliverable' : 'answered';
}

/** The status of a recipient at its place. A pending one is `scheduled` or `queued`, by the state of its campaign. */
function statusOfMark(
  mark: PlaceMark,
  { status, startedAt }: Pick<CampaignState, 'status' | 'startedAt'>,
): RecipientStatus {
  if (mark !== 'absent' && mark !== 'queued' && mark !== 'handing' && mark !== 'left') return mark;
  return startedAt === null && status !== 'draft' ? 'scheduled' : 'queued';
}

/** Whether a recipient with this mark may have a wanted status. For one that left its place only its record can tell, so it may. */
export function mayStand(
  mark: PlaceMark,
  campaign: Pick<CampaignState, 'status' | 'startedAt'>,
  isWanted: (status: RecipientStatus) => boolean,
): boolean {
  if (mark === 'absent') return false;
  return mark === 'left' || isWanted(statusOfMark(mark, campaign));
}

/** The variables for its letter. The unsubscribe link is filled in when the letter goes out, as in any email. */
export function placeVariables({ variables }: CampaignRow): Variables {
  return { ...variables, unsubscribe_url: linkMark };
}

/** The content of its letter. */
export function placeContent({ headers }: CampaignHead, { html, text }: WovenLetter): WovenContent {
  return { html, text, headers, attachments: [] };
}

/** The outcome for a recipient whose worker died, or lost contact, after the body may have begun to leave. */
export function lostOutcome(address: string): SettledOutcome {
  const transport = isSandbox(address) ? sandboxTransport : noTransport;
  return { kind: 'unknown', transport, detail: 'the worker stopped after the hand-over began', refused: [] };
}
