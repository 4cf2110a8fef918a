/** The POST that an endpoint is told of events by: its body, its id and its headers. */
import { hash } from 'node:crypto';
import type { EventPayload } from './event.ts';
import type { Webhook } from './webhook.ts';
import { signatureHeaders, signingSecrets } from './webhook-signature.ts';

export type IdentifiedPayload = { readonly id: string; readonly payload: EventPayload };

/** One object, or a list as a batch has it: each of its events says its id, as the `webhook-id` is that of the batch. */
export function bodyOf(events: readonly IdentifiedPayload[], isBatch: boolean): string {
  if (!isBatch) return JSON.stringify(events[0]?.payload);
  return JSON.stringify(events.map(({ id, payload }) => ({ id, ...payload })));
}

/** The `webhook-id` of a batch, the same whenever the same batch goes out. @param member the places of its events, in order */
export function batchId(member: string): string {
  return `eb_${hash('sha256', member, 'base64url').slice(0, 26)}`;
}

/**
 * Ours come last: they are the ones that count.
 * @param signedAt by the clock of the machine: consumers hold it against theirs, and refuse what is minutes off. With that of the fleet, a wrong
 * clock of Redis would have every POST refused; that of one machine spoils its own tries alone
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
