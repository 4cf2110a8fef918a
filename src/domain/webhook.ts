/** Webhook endpoints and their signature (Standard Webhooks): pure but for HMAC, which is a function of its input. */
import { createHmac } from 'node:crypto';
import { z } from 'zod';
import { type EventType, eventTypes, type OutboxEvent } from './event.ts';
import { type Answer, done } from './outcome.ts';
import { nextTry } from './schedule.ts';
import { webUrl } from './web-url.ts';

export const webhookRequest = z
  .strictObject({
    endpoint: webUrl(/^https?$/, 'must be an http or https URL').meta({
      format: 'uri',
      description: 'Where to POST events: an http or https URL without credentials.',
    }),
    events: z
      .array(z.enum(eventTypes))
      .min(1)
      .overwrite((events) => [...new Set(events)])
      .describe('The types of event to tell it of: what became of emails, and what befell transports.'),
  })
  .meta({
    id: 'WebhookRequest',
    description: 'A webhook endpoint to add.',
    examples: [{ endpoint: 'https://app.example.com/hooks/mail', events: ['email.sent', 'email.bounced'] }],
  });

export type WebhookRequest = z.output<typeof webhookRequest>;

export type Webhook = {
  readonly id: string;
  readonly createdAt: number;
  readonly endpoint: string;
  readonly events: readonly EventType[];
  /** `whsec_` and base64; in the store it is kept sealed. */
  readonly secret: string;
};

export function wants(webhook: Pick<Webhook, 'events'>, event: Pick<OutboxEvent, 'type'>): boolean {
  return webhook.events.includes(event.type);
}

/** A secret of the form `whsec_<base64>`. @param entropy 24 to 64 bytes */
export function webhookSecret(entropy: Uint8Array): string {
  return `whsec_${Buffer.from(entropy).toString('base64')}`;
}

/**
 * The three headers of Standard Webhooks over `id.timestamp.body`.
 * @param atSeconds seconds since the epoch, of this attempt
 */
export function signatureHeaders(id: string, atSeconds: number, body: string, secret: string): Record<string, string> {
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
  const mac = createHmac('sha256', key).update(`${id}.${atSeconds}.${body}`).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': String(atSeconds), 'webhook-signature': `v1,${mac}` };
}

/** What one POST to an endpoint came to; `status` 0 stands for no answer at all. */
export type PostResult = { readonly status: number; readonly detail: string | null };

/** 2xx only is success (a redirect is not followed); anything else is tried again until the schedule ends. */
export function decidePost(
  result: PostResult,
  attempt: number,
  scheduleMs: readonly number[],
  now: number,
  rand: number,
): Answer {
  if (result.status >= 200 && result.status < 300) return done;
  if (attempt > scheduleMs.length) return done;
  return { again: nextTry(scheduleMs, attempt, now, rand) };
}

/** A post job's id says all it needs: the endpoint and the event's place in the outbox. */
export function postId({ webhookId, place }: PostTarget): string {
  return `${webhookId}.${place}`;
}

export function readPostId(id: string): PostTarget {
  const dot = id.indexOf('.');
  return { webhookId: id.slice(0, dot), place: id.slice(dot + 1) };
}

type PostTarget = { readonly webhookId: string; readonly place: string };
