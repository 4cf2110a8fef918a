/** test-webhook: sends one signed POST of a sample event to an endpoint, at once, and returns the answer. */
import type { EventType } from '../domain/event.ts';
import { sampleEvent } from '../domain/event-sample.ts';
import type { IdPrefix } from '../domain/id.ts';
import type { PostResult } from '../domain/post.ts';
import type { Webhook } from '../domain/webhook.ts';
import { bodyOf, requestHeaders } from '../domain/webhook-request.ts';
import type { WebhookClient } from '../outbound/webhook-client.ts';

type Deps = {
  client: Pick<WebhookClient, 'post'>;
  newId(prefix: IdPrefix): string;
  now(): number;
  /** The clock of this machine. */
  ownNow(): number;
};

export type WebhookTest = { readonly eventId: string; readonly type: EventType; readonly result: PostResult };

/** Nothing is stored, counted or tried again. A disabled endpoint is posted to as well: so a caller learns that it works again. */
export async function testWebhook(deps: Deps, webhook: Webhook): Promise<WebhookTest> {
  const eventId = deps.newId('ev');
  const now = deps.now();
  const type = webhook.events.includes('email.sent') ? 'email.sent' : (webhook.events[0] ?? 'email.sent');
  const body = bodyOf([{ id: eventId, payload: sampleEvent(type, now) }], webhook.batch !== null);
  const headers = requestHeaders(webhook, eventId, body, { now, signedAt: deps.ownNow() });
  const result = await deps.client.post(webhook.endpoint, headers, body);
  return { eventId, type, result };
}
