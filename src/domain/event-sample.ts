/** A made-up event of each kind, to test an endpoint with. Its data marks it as a test. */
import { acceptEmail, type EmailFacts } from './email.ts';
import {
  campaignEventTypes,
  type EmailEvent,
  type EmailEventType,
  type EventPayload,
  type EventType,
  emailEventTypes,
  eventPayload,
} from './event.ts';

const reply = { code: 250, enhanced: '2.0.0', reply: '250 2.0.0 Ok: queued as 4ZyXwV' };
const emailId = 'em_00000000000000000000000000';
const deferral = { code: 451, enhanced: '4.7.1', reply: '451 4.7.1 Greylisted, try again later' };
const refusal = { code: 550, enhanced: '5.1.1', reply: '550 5.1.1 No such user here' };

export function sampleEvent(type: EventType, at: number): EventPayload {
  const payload = eventPayload(eventOf(type, at), isOfEmail(type) ? factsAt(at) : null);
  return { ...payload, data: { ...payload.data, test: true } };
}

function eventOf(type: EventType, at: number): Parameters<typeof eventPayload>[0] {
  if (isOfEmail(type)) return emailEvent(type, at);
  if (isOfCampaign(type)) return { id: '', type, at, campaignId: 'cm_00000000000000000000000000' };
  if (type === 'webhook.disabled')
    return { id: '', type, at, webhookId: 'wh_test', endpoint: 'https://app.example.com/hooks/mail', reason: 'gone' };
  const trouble = type === 'transport.degraded' ? ({ reason: 'ECONNREFUSED', cause: 'connect' } as const) : well;
  return { id: '', type, at, transport: 'test', ...trouble };
}

const well = { reason: null, cause: null };

/** The fields that differ between the types, as real events have them. */
const ofType: Readonly<Record<EmailEventType, Partial<EmailEvent>>> = {
  'email.scheduled': { sequence: 1, attempt: 0, transport: null },
  'email.queued': { sequence: 1, attempt: 0, transport: null },
  'email.sent': { smtp: reply },
  'email.delivered': { smtp: reply, sequence: 3 },
  'email.delivery_delayed': { to: ['deferred@sandbox.invalid'], smtp: deferral },
  'email.bounced': { to: ['bounced@sandbox.invalid'], smtp: refusal },
  'email.complained': { to: ['complained@sandbox.invalid'], smtp: reply, sequence: 3 },
  'email.failed': { reason: 'not delivered within its age limit' },
  'email.suppressed': {
    attempt: 0,
    transport: null,
    reason: 'suppressed for mail: mail to it was permanently refused',
  },
  'email.canceled': { attempt: 0, transport: null },
  'email.expired': { reason: 'not delivered before it expired' },
  'email.outcome_unknown': { reason: 'the connection ended before the answer came' },
  'email.unsubscribed': { smtp: reply, sequence: 3 },
};

function emailEvent(type: EmailEventType, at: number): EmailEvent {
  return {
    id: '',
    type,
    at,
    emailId,
    sequence: 2,
    to: ['delivered@sandbox.invalid'],
    attempt: 1,
    transport: 'test',
    smtp: null,
    reason: null,
    ...ofType[type],
  };
}

function factsAt(now: number): EmailFacts {
  const request = { from: { address: 'test@example.com' }, to: [{ address: 'test@example.org' }], subject: 'A test' };
  return acceptEmail(request, { id: emailId, keyId: '', now }).facts;
}

function isOfEmail(type: EventType): type is (typeof emailEventTypes)[number] {
  return (emailEventTypes as readonly EventType[]).includes(type);
}

function isOfCampaign(type: EventType): type is (typeof campaignEventTypes)[number] {
  return (campaignEventTypes as readonly EventType[]).includes(type);
}
