/** A made-up event of each kind, for an endpoint to be tried with; marked as a test in its data. */
import { campaignEventTypes, type EventPayload, type EventType, emailEventTypes, eventPayload } from './event.ts';

const reply = { code: 250, enhanced: '2.0.0', reply: '250 2.0.0 Ok: queued as 4ZyXwV' };
const refusal = { code: 550, enhanced: '5.1.1', reply: '550 5.1.1 No such user here' };

export function sampleEvent(type: EventType, at: number): EventPayload {
  const payload = eventPayload(eventOf(type, at), null);
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

function emailEvent(type: (typeof emailEventTypes)[number], at: number): Parameters<typeof eventPayload>[0] {
  const isRefused = type === 'email.bounced';
  return {
    ...{ id: '', type, at },
    emailId: 'em_00000000000000000000000000',
    sequence: 2,
    to: ['delivered@sandbox.invalid'],
    attempt: 1,
    transport: 'test',
    smtp: type === 'email.sent' ? reply : isRefused ? refusal : null,
    reason: null,
  };
}

function isOfEmail(type: EventType): type is (typeof emailEventTypes)[number] {
  return (emailEventTypes as readonly EventType[]).includes(type);
}

function isOfCampaign(type: EventType): type is (typeof campaignEventTypes)[number] {
  return (campaignEventTypes as readonly EventType[]).includes(type);
}
