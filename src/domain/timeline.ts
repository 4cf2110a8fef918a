/** The timeline of an email: one step for each thing that changed it, stored with its record. */
import { classify, parseReply } from './classify.ts';
import type { EmailState, StoredEmail } from './email.ts';
import type { EmailEvent } from './event.ts';
import { eventId } from './id.ts';
import { type AttemptTrace, type Change, type SettledOutcome, transportAsked } from './outcome.ts';
import type { SmtpReply } from './recipient.ts';

/** Steps kept for one email; the oldest are dropped first. A retry schedule of two days has 20. */
export const maxTimelineSteps = 100;

/** `dropped`: how many of its oldest steps are no longer kept. `faults`: how often its transport was at fault, which is no step. */
export type Timeline = { readonly steps: readonly TimelineStep[]; readonly dropped: number; readonly faults: number };

/** Names are short, since every email keeps at least one step for days. */
export type TimelineStep = {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly kind: SettledOutcome['kind'] | Change['kind'];
  readonly transport?: string;
  readonly detail?: string;
  readonly trace?: AttemptTrace;
  /** Its events: type and number, the recipients (by place), the reply and the reason. */
  readonly events?: readonly TimelineEvent[];
};

export type TimelineEvent = {
  readonly type: EmailEvent['type'];
  readonly seq: number;
  readonly who: readonly number[];
  readonly reply?: string;
  readonly reason?: string;
};

/** Null for trouble of a transport without an event. It comes every few seconds while a server is away or refuses us, so it is only counted. */
export function stepOf(
  what: SettledOutcome | Change,
  state: EmailState,
  events: readonly EmailEvent[],
  at: number,
): TimelineStep | null {
  if (events.length === 0 && isTransportTrouble(what)) return null;
  const transport = transportAsked(what);
  const detail = 'detail' in what ? what.detail : undefined;
  return {
    at,
    kind: what.kind,
    ...(transport === null ? {} : { transport }),
    ...(detail === undefined ? {} : { detail }),
    ...('trace' in what && what.trace !== undefined ? { trace: what.trace } : {}),
    ...(events.length === 0 ? {} : { events: events.map((event) => eventIn(state, event)) }),
  };
}

/** A fault, or replies that are all about the transport, such as a refused login. */
function isTransportTrouble(what: SettledOutcome | Change): boolean {
  if (what.kind === 'transport_fault') return true;
  if (what.kind !== 'answered' || what.replies.length === 0 || what.isOwn) return false;
  return what.replies.every(({ smtp }) => classify(smtp).action === 'stop_transport');
}

function eventIn(state: EmailState, event: EmailEvent): TimelineEvent {
  const isAbout = new Set(event.to);
  const who = state.recipients.flatMap(({ address }, place) => (isAbout.has(address) ? [place] : []));
  return {
    type: event.type,
    seq: event.sequence,
    who,
    ...(event.smtp === null ? {} : { reply: event.smtp.reply }),
    ...(event.reason === null ? {} : { reason: event.reason }),
  };
}

/** The kinds of history entries: accept, an attempt by its outcome, a change by its name. */
export const historyKinds = [
  'accepted',
  'answered',
  'awaited',
  'unknown',
  'transport_fault',
  'undeliverable',
  'fetch_fault',
  'expired',
  'suppressed',
  'canceled',
  'rescheduled',
  'retried',
  'unsubscribed',
] as const satisfies readonly ('accepted' | TimelineStep['kind'])[];

export type HistoryEntry = {
  readonly at: number;
  readonly kind: (typeof historyKinds)[number];
  readonly detail: string | null;
  readonly transport: string | null;
  readonly trace: AttemptTrace | null;
  readonly events: readonly {
    readonly id: string;
    readonly type: EmailEvent['type'];
    readonly sequence: number;
    readonly to: readonly string[];
    readonly smtp: SmtpReply | null;
    readonly reason: string | null;
  }[];
};

/** The steps as a caller sees them, after the entry for accept that every email begins with. */
export function historyOf({ facts, state }: StoredEmail, steps: readonly TimelineStep[]): HistoryEntry[] {
  const addresses = state.recipients.map(({ address }) => address);
  // Only a scheduled email can be rescheduled.
  const wasScheduled = (state.scheduledAt ?? 0) > facts.createdAt || steps.some(({ kind }) => kind === 'rescheduled');
  const event = (type: EmailEvent['type'], sequence: number, to: readonly string[]) => ({
    id: eventId(facts.id, sequence),
    type,
    sequence,
    to,
    smtp: null,
    reason: null,
  });
  const accepted: HistoryEntry = {
    at: facts.createdAt,
    kind: 'accepted',
    detail: null,
    transport: null,
    trace: null,
    // The waiting of a campaign's email has no event of its own: the campaign's events cover it.
    events: facts.campaignId === null ? [event(wasScheduled ? 'email.scheduled' : 'email.queued', 1, addresses)] : [],
  };
  const later = steps.map((step): HistoryEntry => {
    const { at, kind, detail = null, transport = null, trace = null, events = [] } = step;
    return {
      at,
      kind,
      detail,
      transport,
      trace,
      events: events.map(({ type, seq, who, reply, reason = null }) => ({
        ...event(
          type,
          seq,
          addresses.filter((_, place) => who.includes(place)),
        ),
        smtp: reply === undefined ? null : parseReply(reply),
        reason,
      })),
    };
  });
  return [accepted, ...later];
}
