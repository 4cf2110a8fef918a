/** Events: the one list of types, the stored form (slim) and the payload a consumer sees (whole). */
import { bounceOf } from './bounce.ts';
import type { EmailFacts } from './email.ts';
import type { FaultCause } from './fault-cause.ts';
import { isoOf } from './iso-time.ts';
import type { RecipientStatus, SmtpReply } from './recipient.ts';

export const emailEventTypes = [
  'email.scheduled',
  'email.queued',
  'email.sent',
  'email.delivered',
  'email.delivery_delayed',
  'email.bounced',
  'email.complained',
  'email.failed',
  'email.suppressed',
  'email.canceled',
  'email.expired',
  'email.outcome_unknown',
  'email.unsubscribed',
] as const;

export type EmailEventType = (typeof emailEventTypes)[number];

export const transportEventTypes = ['transport.degraded', 'transport.recovered'] as const;

type TransportEventType = (typeof transportEventTypes)[number];

export const webhookEventTypes = ['webhook.disabled'] as const;

type WebhookEventType = (typeof webhookEventTypes)[number];

export const campaignEventTypes = [
  'campaign.started',
  'campaign.paused',
  'campaign.resumed',
  'campaign.completed',
  'campaign.canceled',
] as const;

export type CampaignEventType = (typeof campaignEventTypes)[number];

/** Every type there is: what a webhook can receive. */
export const eventTypes = [
  ...emailEventTypes,
  ...campaignEventTypes,
  ...transportEventTypes,
  ...webhookEventTypes,
] as const;

export type EventType = (typeof eventTypes)[number];

/** Subject, tags and the like are read from the email's record when the event goes out. */
export type EmailEvent = {
  readonly id: string;
  readonly type: EmailEventType;
  readonly at: number;
  readonly emailId: string;
  readonly sequence: number;
  /** The recipients it is about; the others of the same email are not named. */
  readonly to: readonly string[];
  readonly attempt: number;
  readonly transport: string | null;
  readonly smtp: SmtpReply | null;
  readonly reason: string | null;
  /** For a bounce that put its recipients onto the suppression list. */
  readonly suppressed?: true;
  /** Where it is not that of the email's facts: the letters of a campaign may have a subject each. */
  readonly subject?: string;
  /** Of an email at its place in a campaign, which may be deleted before the event goes out. */
  readonly campaignId?: string;
};

/** What became of a campaign as a whole. */
export type CampaignEvent = {
  readonly id: string;
  readonly type: CampaignEventType;
  readonly at: number;
  readonly campaignId: string;
};

/** A transport as a whole is in trouble, or well again. */
export type TransportEvent = {
  readonly id: string;
  readonly type: TransportEventType;
  readonly at: number;
  readonly transport: string;
  /** In words, and of what kind; null where there is nothing to tell. */
  readonly reason: string | null;
  readonly cause: FaultCause | null;
};

/** An endpoint receives nothing any more, until somebody enables it again. */
export type WebhookEvent = {
  readonly id: string;
  readonly type: WebhookEventType;
  readonly at: number;
  readonly webhookId: string;
  readonly endpoint: string;
  readonly reason: string;
};

/** What the outbox holds. */
export type OutboxEvent = EmailEvent | CampaignEvent | TransportEvent | WebhookEvent;

/** The event for a recipient that enters a state; null for a passing state. */
export function eventOf(status: RecipientStatus): EmailEventType | null {
  if (status === 'deferred') return 'email.delivery_delayed';
  if (status === 'sending') return null;
  return `email.${status}`;
}

/** `last_event` as the API names it: the type without its noun. */
export function lastEventName(type: EmailEventType): string {
  return type.slice('email.'.length);
}

export const lastEventNames = emailEventTypes.map(lastEventName);

export type EventPayload = {
  readonly type: EventType;
  readonly timestamp: string;
  readonly created_at: string;
  readonly data: Readonly<Record<string, unknown>>;
};

/** The JSON body of a webhook. `facts` are of the email it is about; null when its record has already been removed, or it is about none. */
export function eventPayload(event: OutboxEvent, facts: EmailFacts | null): EventPayload {
  const time = isoOf(event.at);
  return { type: event.type, timestamp: time, created_at: time, data: dataOf(event, facts) };
}

function dataOf(event: OutboxEvent, facts: EmailFacts | null): EventPayload['data'] {
  if ('emailId' in event) return emailData(event, facts);
  if ('campaignId' in event) return { campaign_id: event.campaignId };
  return 'transport' in event ? transportData(event) : webhookData(event);
}

/** The endpoint without its query: that may hold a secret of its owner, and the event goes to others too. */
function webhookData({ webhookId, endpoint, reason }: WebhookEvent): EventPayload['data'] {
  const { origin, pathname } = new URL(endpoint);
  return { webhook_id: webhookId, endpoint: `${origin}${pathname}`, reason };
}

function transportData({ transport, reason, cause }: TransportEvent): EventPayload['data'] {
  return { transport, reason, cause };
}

function emailData(event: EmailEvent, facts: EmailFacts | null): EventPayload['data'] {
  return {
    email_id: event.emailId,
    sequence: event.sequence,
    created_at: facts === null ? null : isoOf(facts.createdAt),
    message_id: facts === null ? null : `<${facts.messageId}>`,
    from: facts?.from.address ?? null,
    to: event.to,
    subject: event.subject ?? facts?.subject ?? null,
    tags: Object.fromEntries((facts?.tags ?? []).map((tag) => [tag.name, tag.value])),
    metadata: facts?.metadata ?? {},
    external_id: facts?.externalId ?? null,
    campaign_id: facts?.campaignId ?? event.campaignId ?? null,
    attempt: event.attempt,
    transport: event.transport,
    smtp: event.smtp,
    reason: event.reason,
    ...causeOf(event),
  };
}

/** As SES calls it, and the Resend API after it. */
export const suppressedType = 'OnAccountSuppressionList';

/** The cause once more, in the fields that Resend's SDKs read without looking whether they are there. */
function causeOf({ type, smtp, reason, suppressed }: EmailEvent): Readonly<Record<string, unknown>> {
  const message = smtp?.reply ?? reason ?? '';
  if (type === 'email.bounced') return { bounce: { ...bounceOf(smtp), message, suppressed: suppressed === true } };
  if (type === 'email.failed') return { failed: { reason: message } };
  if (type === 'email.suppressed') return { suppressed: { message, type: suppressedType } };
  return {};
}
