/** The record of an email in Redis: JSON without usual values, because a million records are kept for days. */
import { domainOf, type Mailbox } from '../domain/address.ts';
import { parseReply } from '../domain/classify.ts';
import type { EmailFacts, EmailState } from '../domain/email.ts';
import {
  type CampaignEvent,
  type EmailEvent,
  eventTypes,
  lastEventName,
  type OutboxEvent,
  type TransportEvent,
  type WebhookEvent,
} from '../domain/event.ts';
import { eventId, placeIn, timeOfId } from '../domain/id.ts';
import type { Recipient } from '../domain/recipient.ts';
import type { TimelineEvent, TimelineStep } from '../domain/timeline.ts';

/** Leaves out members that have their usual value. */
function without<T extends object>(record: T, usual: Readonly<Partial<Record<keyof T, unknown>>>): Partial<T> {
  const kept: Partial<T> = {};
  for (const name in record) {
    const value = record[name];
    const isEmpty = Array.isArray(value) && value.length === 0;
    if (value !== undefined && value !== usual[name] && !isEmpty) kept[name] = value;
  }
  return kept;
}

/** Every fact but those that each email has of its own: records in which one is missing, as in older ones, have this value. */
const usualFacts = {
  replyTo: [],
  tags: [],
  metadata: null,
  externalId: null,
  lane: 'transactional',
  route: null,
  ttlMs: null,
  onUnknown: 'retry',
  dsn: null,
  template: null,
  campaignId: null,
} as const satisfies Omit<EmailFacts, 'id' | 'keyId' | 'from' | 'subject' | keyof ReturnType<typeof factsOfId>>;

export function packFacts({ id, ...facts }: EmailFacts): string {
  return JSON.stringify(without(facts, { ...usualFacts, ...factsOfId(id, facts.from) }));
}

export function unpackFacts(id: string, json: string): EmailFacts {
  const facts: Omit<EmailFacts, 'id'> = JSON.parse(json);
  return { ...usualFacts, ...factsOfId(id, facts.from), ...facts, id };
}

/** Facts that follow from the id unless the record says otherwise. */
function factsOfId(id: string, from: Mailbox) {
  return { createdAt: timeOfId(id), messageId: `${id}@${domainOf(from.address)}` };
}

/** A state under shorter names; `since` is left out until something after accept changes it. */
type PackedState = {
  to: PackedRecipient[];
  last: string;
  seq: number;
  scheduledAt?: number;
  since?: number;
  expiresAt?: number;
};
type PackedRecipient = Partial<Pick<Recipient, 'kind' | 'status' | 'nextAttemptAt' | 'reason'>> & {
  address: string;
  name?: string;
  tries?: number;
  via?: string;
  smtp?: string;
};

const usualRecipient = { kind: 'to', status: 'queued', tries: 0, nextAttemptAt: null, reason: null } as const;
const usualState = { scheduledAt: null, expiresAt: null } as const;

export function packState(state: EmailState, { createdAt }: Pick<EmailFacts, 'createdAt'>): string {
  const { recipients, lastEvent, sequence: seq, ...times } = state;
  const to = recipients.map(({ smtp, attempts: tries, transport: via, ...recipient }) => ({
    ...without({ ...recipient, tries }, usualRecipient),
    ...(via === null ? {} : { via }),
    ...(smtp === null ? {} : { smtp: smtp.reply }),
  }));
  return JSON.stringify({
    to,
    last: lastEventName(lastEvent),
    seq,
    ...without(times, { ...usualState, since: createdAt }),
  });
}

export function unpackState(json: string, { createdAt: since }: Pick<EmailFacts, 'createdAt'>): EmailState {
  const { to, last, seq: sequence, ...times }: PackedState = JSON.parse(json);
  const recipients = to.map(({ smtp, via: transport = null, ...packed }): Recipient => {
    const { tries: attempts, ...recipient } = { ...usualRecipient, ...packed };
    return { ...recipient, attempts, transport, smtp: smtp === undefined ? null : parseReply(smtp) };
  });
  return { ...usualState, since, ...times, recipients, lastEvent: `email.${last}` as EmailEvent['type'], sequence };
}

/** `trace` is host, TLS version and the milliseconds of connect, envelope and body; an event is type, number, places, reply and reason. */
type PackedStep = Omit<TimelineStep, 'kind' | 'trace' | 'events'> & {
  kind?: TimelineStep['kind'];
  trace?: readonly [string | null, string | null, number | null, number | null, number | null];
  events?: readonly (readonly [string, number, readonly number[], (string | null)?, (string | null)?])[];
};

const usualStep = { kind: 'answered' } as const;

export function packStep({ trace, events, ...step }: TimelineStep): string {
  const packed: PackedStep = {
    ...(without(step, usualStep) as Omit<PackedStep, 'trace' | 'events'>),
    ...(trace === undefined
      ? {}
      : { trace: [trace.host, trace.tls, trace.ms.connect, trace.ms.envelope, trace.ms.body] as const }),
    ...(events === undefined ? {} : { events: events.map(packTold) }),
  };
  return JSON.stringify(packed);
}

function packTold({ type, seq, who, reply, reason }: TimelineEvent) {
  const name = lastEventName(type);
  if (reason !== undefined) return [name, seq, who, reply ?? null, reason] as const;
  return reply === undefined ? ([name, seq, who] as const) : ([name, seq, who, reply] as const);
}

export function unpackStep(json: string): TimelineStep {
  const { trace, events, ...step }: PackedStep = JSON.parse(json);
  const told = events?.map(
    ([name, seq, who, reply = null, reason = null]): TimelineEvent => ({
      type: `email.${name}` as TimelineEvent['type'],
      seq,
      who,
      ...(reply === null ? {} : { reply }),
      ...(reason === null ? {} : { reason }),
    }),
  );
  return {
    ...usualStep,
    ...step,
    ...(trace === undefined
      ? {}
      : { trace: { host: trace[0], tls: trace[1], ms: { connect: trace[2], envelope: trace[3], body: trace[4] } } }),
    ...(told === undefined ? {} : { events: told }),
  };
}

const usualEvent = { attempt: 0, transport: null, smtp: null, reason: null } as const;

/** The id of an event follows from its sequence (0 for an event without one, which keeps its id), and its campaign id from its email id. */
export function packEvent({ id, smtp, campaignId, ...event }: EmailEvent): string {
  const own = event.sequence === 0 ? { id } : {};
  const placed = campaignId === undefined ? {} : { placed: 1 };
  const said = smtp === null ? {} : { smtp: smtp.reply };
  return JSON.stringify({ ...own, ...without(event, usualEvent), ...placed, ...said });
}

/** Events without an email are few: stored as plain JSON. */
export function packPlainEvent(event: CampaignEvent | TransportEvent | WebhookEvent): string {
  return JSON.stringify(event);
}

type PackedEmailEvent = Omit<EmailEvent, 'id' | 'smtp' | 'campaignId'> & { id?: string; smtp?: string; placed?: 1 };

type PackedEvent = PackedEmailEvent | CampaignEvent | TransportEvent | WebhookEvent;

const knownTypes: ReadonlySet<string> = new Set(eventTypes);

/** What readers stumble over where another version wrote it in another form. */
function isReadable(packed: PackedEvent): boolean {
  if (!knownTypes.has(packed.type) || !Number.isFinite(packed.at)) return false;
  const noun = packed.type.slice(0, packed.type.indexOf('.'));
  if ('emailId' in packed) return noun === 'email' && typeof packed.emailId === 'string' && Array.isArray(packed.to);
  if ('campaignId' in packed) return noun === 'campaign';
  return 'transport' in packed ? noun === 'transport' : noun === 'webhook' && URL.canParse(packed.endpoint);
}

/** @throws when it is none, or of another form */
export function unpackEvent(json: string): OutboxEvent {
  const packed: PackedEvent = JSON.parse(json);
  if (!isReadable(packed)) throw new Error('no event of a form that is known');
  if (!('emailId' in packed)) return packed;
  const { id, smtp, placed, ...event } = packed;
  return {
    ...usualEvent,
    ...event,
    ...(placed === undefined ? {} : { campaignId: placeIn(event.emailId).campaignId }),
    id: id ?? eventId(event.emailId, event.sequence),
    smtp: smtp === undefined ? null : parseReply(smtp),
  };
}
