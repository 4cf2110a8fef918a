/** The email to one recipient of a campaign: made of what the campaign remembers, for as long as it has no record of its own. */
import { domainOf } from './address.ts';
import type { CampaignHead, CampaignRow, CampaignState, PlaceMark } from './campaign.ts';
import { parseReply } from './classify.ts';
import type { EmailFacts, EmailState, StoredEmail } from './email.ts';
import { eventOf } from './event.ts';
import { placeId } from './id.ts';
import type { AttemptTrace, SettledOutcome } from './outcome.ts';
import { isPending, type Recipient, type RecipientStatus } from './recipient.ts';
import { isSandbox, sandboxTransport } from './sandbox.ts';
import type { Variables, WovenLetter } from './template.ts';
import type { TimelineStep } from './timeline.ts';
import { linkMark } from './unsubscribe-link.ts';
import type { WovenContent } from './woven.ts';

/** What stands of one attempt at a place, or of what ended it without one. The last one of a place counts. */
export type PlaceOutcome = {
  readonly place: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly attempts: number;
  readonly transport: string | null;
  /** What the next hop said, as one line. */
  readonly reply: string | null;
  readonly reason: string | null;
  readonly trace: AttemptTrace | null;
};

/** A recipient at its place, and where it stands. */
export type Placed = {
  readonly place: number;
  readonly row: CampaignRow;
  readonly mark: PlaceMark;
  readonly outcome: PlaceOutcome | null;
};

/** Emails of a campaign are told from when it started, before that from when it was made, as are their ids, which sort by time. */
export type PlacedCampaign = {
  readonly head: CampaignHead;
  readonly state: Pick<CampaignState, 'status' | 'startedAt' | 'scheduledAt'>;
};

/** What never changes of an email of this campaign. @param subject as it was rendered; as it was written where nobody knows */
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

/** No record has it: those begin with 1. */
const versionAtPlace = 0;

/** Whether it has no record of its own yet. */
export function isAtPlace({ version }: Pick<StoredEmail, 'version'>): boolean {
  return version === versionAtPlace;
}

/**
 * The email as if it stood in a record. Of one that left its place there is a record, which is to be read instead.
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

/** What was told of it, in order: that it waits is told of the whole campaign, and what was delivered or complained was sent before. */
function statesUpTo(status: RecipientStatus): readonly RecipientStatus[] {
  if (isPending(status)) return [];
  return status === 'delivered' || status === 'complained' ? ['sent', status] : [status];
}

/** What was done with it: the campaign keeps no more of an email at its place than the last word. */
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

/** Where a recipient at its place stands: who is not done with waits for the time of the campaign, or for its turn in it. */
export function statusOfMark(
  mark: PlaceMark,
  { status, startedAt }: Pick<CampaignState, 'status' | 'startedAt'>,
): RecipientStatus {
  if (mark !== 'absent' && mark !== 'queued' && mark !== 'handing' && mark !== 'left') return mark;
  return startedAt === null && status !== 'draft' ? 'scheduled' : 'queued';
}

/** Whether one of this mark may stand where `isWanted` says: where whoever left their place stands, only their record tells. */
export function mayStand(
  mark: PlaceMark,
  campaign: Pick<CampaignState, 'status' | 'startedAt'>,
  isWanted: (status: RecipientStatus) => boolean,
): boolean {
  if (mark === 'absent') return false;
  return mark === 'left' || isWanted(statusOfMark(mark, campaign));
}

/** What its letter is made with: the link to unsubscribe with is filled in as it goes out, as in any letter. */
export function placeVariables({ variables }: CampaignRow): Variables {
  return { ...variables, unsubscribe_url: linkMark };
}

/** What is sent of its letter. */
export function placeContent({ headers }: CampaignHead, { html, text }: WovenLetter): WovenContent {
  return { html, text, headers, attachments: [] };
}

/** In place of a transport's name, where nobody knows which one it was, or none was asked. */
export const noTransport = '';

/** What is known of a recipient whose worker died, or lost it from its sight, after the body may have begun to leave. */
export function lost(address: string): SettledOutcome {
  const transport = isSandbox(address) ? sandboxTransport : noTransport;
  return { kind: 'unknown', transport, detail: 'the worker stopped after the hand-over began', refused: [] };
}

/** There is no message for this recipient. */
export function unmade(transport: string, detail: string): SettledOutcome {
  return { kind: 'undeliverable', transport, detail };
}
