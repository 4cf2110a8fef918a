/** The POST that tells an endpoint of events: its body, its id and its headers. */
import { hash } from 'node:crypto';
import type { EventPayload } from './event.ts';
import type { Webhook } from './webhook.ts';
import { signatureHeaders, signingSecrets } from './webhook-signature.ts';

export type IdentifiedPayload = { readonly id: string; readonly payload: EventPayload };

/** One object, or a list for a batch. In a batch each event has its own id, since the `webhook-id` is that of the batch. */
export function bodyOf(events: readonly IdentifiedPayload[], isBatch: boolean): string {
  if (!isBatch) return JSON.stringify(events[0]?.payload);
  return JSON.stringify(events.map(({ id, payload }) => ({ id, ...payload })));
}

/**
 * The `webhook-id` of a batch: the same each time the same batch is sent.
 * @param member the places of its events, in order
 */
export function batchId(member: string): string {
  return `eb_${hash('sha256', member, 'base64url').slice(0, 26)}`;
}

/**
 * Our headers come last, so they override the caller's.
 * @param signedAt by the clock of this machine. Consumers compare it with theirs and refuse a difference of minutes. With the clock of the
 * fleet, a wrong clock of Redis would get every POST refused; a wrong clock of one machine spoils only its own tries.
 */
export function requestHeaders(
  webhook: Pick<Webhook, 'secret' | 'previousSecret' | 'headers'>,
  webhookId: string,
  body: string,
  { now, signedAt }: { readonly now: number; readonly signedAt: number },
): Readonly<Record<string, string>> {
  return {
    ...webhook.headers,
    ...signatureHeaders(webhookId, Math.floor(signedAt / 1_000), body, signingSecrets(webhook, now)),
    ...fixedHeaders,
  };
}

const fixedHeaders = { 'content-type': 'application/json', 'user-agent': 'Postrider' };
